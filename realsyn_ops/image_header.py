"""What an encoded image says of itself before a pixel is decoded: its format, its sides, and what decoding would cost.

Only what is cheap for any bytes: a walk over markers, chunks or boxes, each with a limit. Decoding is `image_codec`'s.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from realsyn_ops.records import Reason

DECODED_SIDE_PX = 512
"""Images are decoded no larger than the encoders need: hash and embedding are taken from that."""

MAX_SIDE_PX = 65_535
_MAX_SCANS = 100
_MAX_SCANNED = 16
_MAX_PARTS = 50_000
_MAX_PREAMBLE_BYTES = 4 * 2**20
_DEFLATE_RATIO = 1_032
_ANIMATED_WEBP_CANVASES = 4

_MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"))
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SOS, _EOI, _ALONE = 0xDA, 0xD9, frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Header:
    """Sides in pixels as stored; `n_decoded`: pixels a decoder goes through or holds for them; `fault`: if it lies."""

    width: int
    height: int
    n_decoded: int
    fault: str = ""


class BadHeaderError(Exception):
    """The header is no image's, or one that nobody should decode."""


def image_format(data: bytes) -> str | None:
    """JPEG, PNG, GIF, WEBP or AVIF, told by the first bytes; None for everything else.

    AVIF only where the installed Pillow decodes it, and no sequence of AVIF images: that is a video.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "AVIF" if data[8:12] in _avif_brands() else None
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def read_header(data: bytes, kind: str) -> Header:
    """The header of an image of that format. BadHeaderError says what is wrong with it."""
    try:
        header = _READERS[kind](data)
    except (struct.error, IndexError):
        raise BadHeaderError(f"the {kind} header is cut short") from None
    if header.width < 1 or header.height < 1:
        raise BadHeaderError(f"the {kind} header says {header.width} x {header.height}")
    return header


def header_reason(header: Header, *, max_pixels: int) -> tuple[Reason, str] | None:
    """Why an image with that header is not decoded, if so."""
    size = f"{header.width} x {header.height}"
    if header.width * header.height > max_pixels:
        return Reason.IMAGE_TOO_MANY_PIXELS, f"{size}, limit {max_pixels}"
    if max(header.width, header.height) > MAX_SIDE_PX:
        return Reason.IMAGE_TOO_MANY_PIXELS, f"{size}, longest side {MAX_SIDE_PX}"
    if header.n_decoded > _MAX_SCANNED * max_pixels:
        return Reason.IMAGE_TOO_MANY_PIXELS, f"{size}, {header.n_decoded} to decode, limit {_MAX_SCANNED * max_pixels}"
    return (Reason.IMAGE_BROKEN, header.fault) if header.fault else None


@lru_cache
def _avif_brands() -> frozenset[bytes]:
    from PIL import features

    return frozenset({b"avif"} if features.check("avif") else ())


def _jpeg(data: bytes) -> Header:
    place, sides = 2, None
    for _ in range(_MAX_PARTS):
        found = _MARKER.match(data, place)
        if found is None:
            raise BadHeaderError(f"no JPEG marker at byte {place}")
        marker, place = found[1][0], found.end()
        if marker == _SOS:
            if sides is None:
                raise BadHeaderError("a JPEG scan before its frame")
            width, height, n_components, is_progressive = sides
            is_whole = not is_progressive and data[place + 2] == n_components
            return Header(width, height, width * height * (1 if is_whole else _scans(data, place)))
        if marker == _EOI:
            raise BadHeaderError("a JPEG without a scan")
        if marker in _ALONE:
            continue
        (length,) = struct.unpack_from(">H", data, place)
        if marker in _FRAMES:
            height, width, n_components = struct.unpack_from(">HHB", data, place + 3)
            sides = width, height, n_components, marker in _PROGRESSIVE
        place += length
    raise BadHeaderError(f"more than {_MAX_PARTS} JPEG segments before the first scan")


def _scans(data: bytes, place: int) -> int:
    """Scans of a JPEG whose first starts at `place`: each goes over all its blocks again, whatever few bytes it has.

    Counted exactly only where a cheap count of the marker, which also finds what merely looks like it, is too high.
    """
    n_scans = 1 + data.count(b"\xff\xda", place)
    if n_scans <= _MAX_SCANS:
        return n_scans
    n_scans = 1
    for _ in range(_MAX_PARTS):
        found = _NEXT_MARKER.search(data, place)
        if found is None or found[1][0] == _EOI:
            return n_scans
        n_scans += found[1][0] == _SOS
        if n_scans > _MAX_SCANS:
            raise BadHeaderError(f"more than {_MAX_SCANS} JPEG scans")
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        place = found.end() + (0 if found[1][0] in _ALONE else length)
    raise BadHeaderError(f"more than {_MAX_PARTS} JPEG segments")


def _png(data: bytes) -> Header:
    """IHDR, and whether the data could fill its sides at all: deflate shrinks by 1,032 at the most."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR" or data[8:12] != b"\0\0\0\x0d":
        raise BadHeaderError("the first PNG chunk is no IHDR")
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour)
    if channels is None or depth not in {1, 2, 4, 8, 16}:
        raise BadHeaderError(f"PNG colour type {colour} with {depth} bits")
    n_data = sum(length for name, length in _png_chunks(data) if name == b"IDAT")
    is_filled = width * height * channels * depth // 8 <= _DEFLATE_RATIO * n_data
    fault = "" if is_filled else f"{n_data} bytes of PNG data cannot fill {width} x {height}"
    return Header(width, height, width * height, fault)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    place = 8
    for _ in range(_MAX_PARTS):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, length
        place += 12 + length
        if name == b"IEND" or place + 8 > len(data):
            return
    raise BadHeaderError(f"more than {_MAX_PARTS} PNG chunks")


def _gif(data: bytes) -> Header:
    """The canvas, or the first frame where that reaches past it, as decoders have it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    place = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while place < min(len(data), _MAX_PREAMBLE_BYTES):
        kind = data[place]
        if kind == 0x2C:
            left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, place + 1)
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            return Header(width, height, width * height)
        if kind == 0x3B:
            break
        place += 2 if kind == 0x21 else 1
        while kind == 0x21 and place < _MAX_PREAMBLE_BYTES and data[place]:
            place += 1 + data[place]
        place += kind == 0x21
    raise BadHeaderError(f"no GIF frame in the first {min(len(data), _MAX_PREAMBLE_BYTES)} bytes")


def _webp(data: bytes) -> Header:
    name = data[12:16]
    if name == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise BadHeaderError("no VP8 key frame")
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        return Header(width, height, width * height)
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return Header(width, height, width * height)
    if name == b"VP8X":
        if len(data) < 30:
            raise BadHeaderError("the WEBP header is cut short")
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        # The animation decoder holds canvases of four bytes a pixel, and copies one: refused where that is too much.
        held = _MAX_SCANNED * _ANIMATED_WEBP_CANVASES if data[20] & 2 else 1
        return Header(width, height, width * height * held)
    raise BadHeaderError(f"WEBP starts with {name!r}")


def _avif(data: bytes) -> Header:
    """The largest sides that a property of the file names: a grid is larger than its tiles."""
    sides = [
        struct.unpack_from(">II", data, start + 4)
        for start, _ in _boxes(data, (b"meta", b"iprp", b"ipco", b"ispe"), 0, len(data))
    ]
    if not sides:
        raise BadHeaderError("an AVIF that names no sides")
    width, height = max(sides, key=lambda side: side[0] * side[1])
    return Header(width, height, width * height)


def _boxes(data: bytes, names: tuple[bytes, ...], place: int, stop: int) -> Iterator[tuple[int, int]]:
    """Start and stop of the content of every box of the last name, in the first box of each name before it."""
    for _ in range(_MAX_PARTS):
        if place + 8 > stop:
            return
        length, name = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = place + length if length else stop
        if end < start:
            raise BadHeaderError(f"an AVIF box of {length} bytes")
        if name == names[0] and len(names) > 1:
            yield from _boxes(data, names[1:], start + 4 * (name == b"meta"), min(end, stop))
            return
        if name == names[0]:
            yield start, end
        place = end
    raise BadHeaderError(f"more than {_MAX_PARTS} AVIF boxes")


_READERS: dict[str, Callable[[bytes], Header]] = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "WEBP": _webp, "AVIF": _avif}
