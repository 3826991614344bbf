"""The one way in which this project looks at an encoded image: its header first, then pixels within a limit.

Values in, values out: no file, no network. Whatever bytes come in, the answer is an image or a reason. Which decoder
reads what, and why: docs/decisions/0011-image-decoders.md and 0014-needed-pixels.md.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import kornia_rs
import numpy as np
import simplejpeg
from PIL import Image, ImageCms

from realsyn_ops.image_header import BadHeaderError, header_reason, read_header
from realsyn_ops.image_header import image_format as image_format
from realsyn_ops.progressive import lighter_jpeg
from realsyn_ops.records import Reason

# One thread a task, as for the models; the results are the same with any number.
cv2.setNumThreads(1)

_VERIFY_SIDE_PX = 32
_JPEG_SCALES = (8, 4, 2, 1)
_SURPLUS = 1.5
_MAX_PROFILE_BYTES = 4 * 2**20
_MAX_SAME = 2
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
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# A few bytes too many are padding; more of them are what a decoder that lost its way left over.
_JPEG_DAMAGE = re.compile(r"Premature end|Corrupt JPEG data: (?!\d{1,2} extraneous bytes)")

# Where a PNG can say how it is turned; Pillow also looks behind the image data.
_PNG_TURNS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
_PNG_DEPTH_AND_COLOUR = slice(24, 26)
_PNG_COLOURS = {b"\x08\x02": "rgb", b"\x08\x06": "rgba"}

Pixels = Image.Image | np.ndarray


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image's header says; sides in pixels as stored, before any EXIF rotation."""

    format: str
    width: int
    height: int


def read_image(data: bytes, *, max_pixels: int) -> ImageInfo | tuple[Reason, str]:
    """What the image is, or the reason and detail why it is refused.

    Formats are told by the first bytes (`image_format`). What the header says is judged before a pixel is decoded; then
    all of the image is decoded once, every scan and checksum of it, so that what is kept can be decoded later.
    """
    kind = image_format(data)
    if kind is None:
        return Reason.IMAGE_FORMAT, f"starts with {data[:12]!r}"
    try:
        header = read_header(data, kind)
        if refused := header_reason(header, max_pixels=max_pixels):
            return refused
        with _pixel_guard(max_pixels):
            _decode(data, _every_pixel, _VERIFY_SIDE_PX, None)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Reason.IMAGE_TOO_MANY_PIXELS, str(error)
    except BadHeaderError as error:
        return Reason.IMAGE_BROKEN, str(error)
    except Exception as error:  # noqa: BLE001 - decoders raise anything at damaged bytes
        return Reason.IMAGE_BROKEN, _ADDRESS.sub("", f"{type(error).__name__}: {error}")[:500]
    return ImageInfo(kind, header.width, header.height)


def decode_image(data: bytes, *, max_side: int | None = None, shorter_side: int | None = None) -> Image.Image:
    """The image as people see it: first frame, turned as its EXIF says, on white, sRGB with 8 bits.

    Reduced, never enlarged, to a longer side of `max_side` or a shorter one of `shorter_side`; a JPEG is decoded no
    larger than that needs, from no more scans than that needs. For what `read_image` let in: of what it would refuse,
    most raises whatever its decoder raises, but damage that no pixel needs is not looked for again.
    """
    return _decode(data, _needed_pixels, max_side, shorter_side)


def reduce_image(image: Image.Image, *, shorter_side: int) -> Image.Image:
    """A decoded image with its shorter side reduced to that, at the same ratio; a smaller one is left as it is."""
    return _resize(image, _reduced(image.size, None, shorter_side))


def _decode(data: bytes, read: "_Reader", max_side: int | None, shorter_side: int | None) -> Image.Image:
    kind = image_format(data)
    with _no_remarks(), Image.open(io.BytesIO(data), formats=[kind] if kind else []) as image:
        profile = image.info.get("icc_profile")
        size = _reduced(image.size, max_side, shorter_side)
        pixels = read(data, image, size)
        # Only now: Pillow loads a PNG to find its EXIF data, and an error of that load would be taken for no EXIF data.
        turn = _TRANSPOSE.get(_orientation(data, image))
    plain = _to_srgb(_resize(_flat(pixels), size), profile)
    return plain.transpose(turn) if turn is not None else plain


def _resize(pixels: Pixels, size: tuple[int, int]) -> Image.Image:
    """Each pixel the mean of the area it covers, as in RealSyn's own img2dataset calls; the same bytes on any CPU."""
    if isinstance(pixels, Image.Image):
        if pixels.size == size:
            return pixels
        # In two steps where there is enough to reduce, as for JPEG: no second copy of a large image.
        whole = int(min(side / wanted for side, wanted in zip(pixels.size, size, strict=True)) / _SURPLUS)
        pixels = np.asarray(pixels.reduce(whole) if whole > 1 else pixels)
    if pixels.shape[1::-1] != size:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return Image.fromarray(pixels, "CMYK" if pixels.shape[2:] == (4,) else None)


def _reduced(size: tuple[int, int], max_side: int | None, shorter_side: int | None) -> tuple[int, int]:
    scale = 1.0
    if max_side:
        scale = min(scale, max_side / max(size))
    if shorter_side:
        scale = min(scale, shorter_side / min(size))
    return size if scale == 1 else (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


def _every_pixel(data: bytes, image: Image.Image, size: tuple[int, int]) -> Pixels:
    """The first frame as it is stored, at least of that size; damage anywhere raises."""
    if image.format in {"JPEG", "MPO"}:
        sides = _jpeg_sides(image.size, size)
        if (pixels := _strict_jpeg(data, image, sides)) is not None:
            return pixels
        image.draft(None, sides)
    elif image.format == "WEBP" and not getattr(image, "is_animated", False):
        return _still_webp(data)
    image.load()
    return image


def _needed_pixels(data: bytes, image: Image.Image, size: tuple[int, int]) -> Pixels:
    """The same, but a JPEG's scans that the size does not need are left out, and a PNG's checksum of all its rows."""
    if image.format == "PNG" and (pixels := _plain_png(data, image)) is not None:
        return pixels
    if image.info.get("progressive"):
        data = lighter_jpeg(data, round(image.width / _jpeg_sides(image.size, size)[0]))
    return _every_pixel(data, image, size)


_Reader = Callable[[bytes, Image.Image, tuple[int, int]], Pixels]


def _plain_png(data: bytes, image: Image.Image) -> Pixels | None:
    """By Rust's png: the same pixels as Pillow's, in a quarter of the time.

    None for what it does not read, and for what Pillow has to decode anyway to find how it is turned.
    """
    colours = _PNG_COLOURS.get(data[_PNG_DEPTH_AND_COLOUR])
    if getattr(image, "is_animated", False) or colours is None or "transparency" in image.info or _may_turn(data):
        return None
    try:
        pixels = kornia_rs.io.decode_image_png_u8(data, (image.height, image.width), colours)
    except Exception:  # noqa: BLE001 - whether it is damaged is for Pillow to say
        return None
    return pixels if colours == "rgb" else Image.fromarray(pixels)


def _jpeg_sides(full: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Sides of the smallest of libjpeg's scales of 1/8, 1/4 and 1/2 that leaves something to resize from."""
    for scale in _JPEG_SCALES:
        sides = -(-full[0] // scale), -(-full[1] // scale)
        if all(side >= _SURPLUS * wanted for side, wanted in zip(sides, size, strict=True)):
            return sides
    return full


def _strict_jpeg(data: bytes, image: Image.Image, sides: tuple[int, int]) -> "np.ndarray | None":
    """By libjpeg-turbo, which says of what is missing or damaged. None for what it cannot read or viewers forgive."""
    space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}.get(image.mode)
    if space is None:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(
            data, space, fastdct=False, fastupsample=False, min_width=sides[0], min_height=sides[1]
        )
    except ValueError as error:
        if _JPEG_DAMAGE.match(str(error)):
            raise
        return None
    if space == "CMYK" and "adobe" in image.info:
        np.subtract(255, pixels, out=pixels)
    return pixels[:, :, 0] if space == "GRAY" else pixels


def _still_webp(data: bytes) -> Pixels:
    """By OpenCV: the same pixels as Pillow's, which decodes a still as an animation, in three times the memory."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("the WEBP data cannot be decoded")
    if pixels.shape[2] == 4:
        return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA, dst=pixels))
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def _flat(pixels: Pixels) -> Pixels:
    """The image on white, in a mode that can be resized: L, RGB or CMYK."""
    if not isinstance(pixels, Image.Image):
        return pixels
    if pixels.mode.startswith("I"):
        return (np.asarray(pixels).clip(0, 65_535) >> 8).astype(np.uint8)
    if pixels.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in pixels.info:
        layered = pixels if pixels.mode == "RGBA" else pixels.convert("RGBA")
        if layered.getchannel("A").getextrema() == (255, 255):
            return layered.convert("RGB")
        ground = Image.new("RGB", layered.size, "white")
        ground.paste(layered, mask=layered)
        return ground
    if pixels.mode in {"L", "RGB", "CMYK"}:
        return pixels
    return pixels.convert("L" if pixels.mode == "1" else "RGB")


def _to_srgb(image: Image.Image, profile: Any) -> Image.Image:
    """By the image's colour profile, where that is one for its mode and differs from sRGB; a broken one is ignored."""
    if isinstance(profile, bytes) and 0 < len(profile) <= _MAX_PROFILE_BYTES:
        transform = _srgb_transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=64)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode == "RGB":
        cube = np.stack(np.meshgrid(*[np.arange(0, 256, 32)] * 3), -1).reshape(1, -1, 3).astype(np.uint8)
        moved = np.asarray(transform.apply(Image.fromarray(cube)))
        if np.abs(moved.astype(int) - cube).max() <= _MAX_SAME:
            return None
    return transform


def _may_turn(data: bytes) -> bool:
    return any(name in data for name in _PNG_TURNS)


def _orientation(data: bytes, image: Image.Image) -> int:
    """EXIF orientation from 1 to 8; 1 where the EXIF data are damaged, as viewers do."""
    if image.format == "PNG" and not _may_turn(data):
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - any parser error means the same
        return 1


@contextmanager
def _no_remarks() -> Iterator[None]:
    """Pillow warns of each odd EXIF tag: thousands of lines of log for one image that is fine otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@contextmanager
def _pixel_guard(max_pixels: int) -> Iterator[None]:
    """Pillow's own guard at our limit, its warning an error: frames larger than their header are caught by it too.

    Never above the size at which Pillow refuses to decode in the stages that come later.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = min(max_pixels, 2 * before) if before else max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
