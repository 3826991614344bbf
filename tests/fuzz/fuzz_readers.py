"""Coverage-guided fuzzing of all readers: see README.md. Arguments are libFuzzer's."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["realsyn_ops.io"]):
    from tests.fuzz.reading import WRAPPINGS, read_all, seeds, wrapped


def main() -> None:
    with tempfile.TemporaryDirectory() as corpus:
        for name, data in seeds().items():
            for place in range(len(WRAPPINGS)):
                (Path(corpus) / f"{name}-{place}").write_bytes(bytes([place]) + data)
        atheris.Setup([*sys.argv, corpus], lambda data: read_all(wrapped(data)) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
