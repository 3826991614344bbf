"""The one way in which this project looks at an encoded image: its header first, then pixels within a limit.

Values in, values out: no file, no network. Whatever bytes come in, the answer is an image or a reason.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from realsyn_ops.records import Reason

_VERIFY_SIDE_PX = 256
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"))
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image's header says; sides in pixels as stored, before any EXIF rotation."""

    format: str
    width: int
    height: int


def read_image(data: bytes, *, max_pixels: int) -> ImageInfo | tuple[Reason, str]:
    """What the image is, or the reason and detail why it is refused.

    Only JPEG, PNG, WebP and GIF, told by their first bytes. Pixels are counted in the header before any is decoded;
    then the image is decoded once, so that what is kept can be decoded later.
    """
    kind = _format(data)
    if kind is None:
        return Reason.IMAGE_FORMAT, f"starts with {data[:12]!r}"
    try:
        with _pixel_guard(max_pixels):
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                width, height = image.size
            if width * height > max_pixels:
                return Reason.IMAGE_TOO_MANY_PIXELS, f"{width} x {height}, limit {max_pixels}"
            decode_image(data, max_side=_VERIFY_SIDE_PX)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Reason.IMAGE_TOO_MANY_PIXELS, str(error)
    except Exception as error:  # noqa: BLE001 - decoders raise anything at damaged bytes
        return Reason.IMAGE_BROKEN, _ADDRESS.sub("", f"{type(error).__name__}: {error}")[:500]
    return ImageInfo(kind, width, height)


def decode_image(data: bytes, *, max_side: int | None = None) -> Image.Image:
    """The image as people see it: first frame, turned as its EXIF says, on white, RGB with 8 bits.

    With `max_side` its longer side is at most that, and a JPEG is decoded no larger than needed. Raises whatever Pillow
    raises for an image that `read_image` would refuse.
    """
    with Image.open(io.BytesIO(data), formats=[kind] if (kind := _format(data)) else []) as image:
        turn = _TRANSPOSE.get(_orientation(image))
        if max_side:
            image.draft("RGB", (max_side, max_side))
        image.load()
        plain = _to_rgb(image)
    if max_side and max(plain.size) > max_side:
        plain.thumbnail((max_side, max_side), Image.Resampling.BICUBIC)
    return plain.transpose(turn) if turn is not None else plain


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65_535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        opaque = image.convert("RGBA")
        ground = Image.new("RGBA", opaque.size, "white")
        ground.alpha_composite(opaque)
        return ground.convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation from 1 to 8; 1 where the EXIF data are damaged, as viewers do."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - any parser error means the same
        return 1


def _format(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


@contextmanager
def _pixel_guard(max_pixels: int) -> Iterator[None]:
    """Pillow's own guard at our limit, its warning an error: frames larger than their header are caught by it too.

    Never above the size at which Pillow refuses to decode in the stages that come later.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = min(max_pixels, 2 * before) if before else max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
