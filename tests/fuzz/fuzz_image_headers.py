"""Coverage-guided fuzzing of what reads an image's header and pixels: see README.md. Arguments are libFuzzer's."""

import io
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["realsyn_ops.image_codec", "realsyn_ops.image_header", "PIL"]):
    from PIL import Image

    from realsyn_ops.image_codec import read_image

MAX_PIXELS = 1_000_000


def check(data: bytes) -> None:
    read_image(data, max_pixels=MAX_PIXELS)


def main() -> None:
    with tempfile.TemporaryDirectory() as corpus:
        for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF"):
            for mode in ("RGB", "L", "P", "RGBA"):
                sink = io.BytesIO()
                try:
                    Image.new("RGB", (24, 17), (200, 30, 90)).convert(mode).save(sink, kind)
                except (OSError, KeyError):
                    continue  # not every format has every mode, nor every Pillow every format
                (Path(corpus) / f"{kind}-{mode}").write_bytes(sink.getvalue())
        atheris.Setup([*sys.argv, corpus], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
