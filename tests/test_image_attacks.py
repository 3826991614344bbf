"""Images made to hurt: each is refused with its reason before it costs time or memory, or read as what it shows.

A polyglot that is a whole image (a GIF that is also a script, a JPEG with a zip behind it, a PNG with a page behind it)
is accepted: only its pixels ever leave, re-encoded as JPEG.
"""

import io
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from realsyn_ops.image_codec import ImageInfo, decode_image, image_format, read_image
from realsyn_ops.records import Reason
from realsyn_ops.stages.export import reencode

MAX_PIXELS = 4_000_000
BROKEN, FORMAT, PIXELS = Reason.IMAGE_BROKEN, Reason.IMAGE_FORMAT, Reason.IMAGE_TOO_MANY_PIXELS
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


def encoded(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(sink, kind, **options)
    return sink.getvalue()


def flat(kind: str, size: tuple[int, int], **options: object) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", size, (10, 20, 30)).save(sink, kind, **options)
    return sink.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, *, before: bytes = b"", rows: bytes | None = None, kind: tuple[int, int] = (8, 2)
) -> bytes:
    body = zlib.compress(rows if rows is not None else bytes(height * (1 + 3 * width)))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_with(segments: bytes) -> bytes:
    data = encoded("JPEG")
    return data[:2] + segments + data[2:]


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_sides(data: bytes, width: int, height: int) -> bytes:
    place = re.search(rb"\xff[\xc0\xc2]\0\x11\x08", data).start() + 5  # type: ignore[union-attr]
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def many_scans(size: tuple[int, int], n_scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded("JPEG", size, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * n_scans + data[-2:]


def gif(canvas: tuple[int, int], frame: tuple[int, int, int, int], *, before: bytes = b"") -> bytes:
    data = struct.pack("<6sHHBBB", b"GIF89a", *canvas, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + before
    return data + b"," + struct.pack("<HHHHB", *frame, 0) + b"\x02\x02\x4c\x01\0;"


def riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def webp_canvas(width: int, height: int, *, flags: int = 0) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + sides + encoded("WEBP")[12:])


def avif_sides(width: int, height: int) -> bytes:
    data = encoded("AVIF")
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


def exif_bomb() -> bytes:
    """An IFD whose every entry claims the whole of it."""
    entries = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(5_000))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + entries


def frames(kind: str, later: tuple[int, int]) -> bytes:
    """An animation whose second frame is of another colour."""
    sink = io.BytesIO()
    Image.new("RGB", later, (200, 0, 0)).save(
        sink, kind, save_all=True, append_images=[Image.new("RGB", later, (0, 0, 200))], loop=0
    )
    return sink.getvalue()


REFUSED: dict[str, tuple[Callable[[], bytes], Reason]] = {
    # no format that is read
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>", FORMAT),
    "svg after a comment": (lambda: b"<?xml version='1.0'?><!-- x --><svg/>", FORMAT),
    "bmp": (lambda: encoded("BMP"), FORMAT),
    "tiff": (lambda: encoded("TIFF"), FORMAT),
    "ico": (lambda: encoded("ICO", (32, 32)), FORMAT),
    "psd": (lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3), FORMAT),
    "eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run", FORMAT),
    "pdf": (lambda: b"%PDF-1.7\n1 0 obj<</OpenAction 2 0 R>>", FORMAT),
    "jpeg 2000": (lambda: encoded("JPEG2000"), FORMAT),
    "html": (lambda: b"<html><script>x()</script>", FORMAT),
    "heic": (lambda: struct.pack(">I4s4sI", 24, b"ftyp", b"heic", 0) + b"mif1heic" + bytes(64), FORMAT),
    "avif sequence": (lambda: encoded("AVIF").replace(b"ftypavif", b"ftypavis", 1), FORMAT),
    "mp4": (lambda: struct.pack(">I4s4sI", 24, b"ftyp", b"isom", 0) + b"mp41avc1", FORMAT),
    "webp without its name": (lambda: encoded("WEBP").replace(b"WEBP", b"WAVE", 1), FORMAT),
    "html before a png": (lambda: b"<p>" + encoded("PNG"), FORMAT),
    # more pixels than allowed: the header is enough
    "jpeg bomb": (lambda: flat("JPEG", (2_001, 2_000)), PIXELS),
    "png bomb": (lambda: png(2_001, 2_000), PIXELS),
    "webp bomb": (lambda: flat("WEBP", (2_001, 2_000)), PIXELS),
    "lossless webp bomb": (lambda: flat("WEBP", (2_001, 2_000), lossless=True), PIXELS),
    "gif bomb": (lambda: flat("GIF", (2_001, 2_000)), PIXELS),
    "avif bomb": (lambda: flat("AVIF", (2_001, 2_000), speed=10), PIXELS),
    "png of 2^31 by 2^31": (lambda: png(2**31 - 1, 2**31 - 1, rows=b"\0"), PIXELS),
    "png a pixel high": (lambda: png(70_000, 1), PIXELS),
    "webp canvas": (lambda: webp_canvas(16_000, 16_000), PIXELS),
    "webp animation of large canvases": (lambda: frames("WEBP", (1_100, 1_000)), PIXELS),
    "gif frame past its canvas": (lambda: gif((1, 1), (0, 0, 65_535, 65_535)), PIXELS),
    "gif frame far away": (lambda: gif((10, 10), (65_000, 65_000, 10, 10)), PIXELS),
    "avif of huge sides": (lambda: avif_sides(2**31, 2**31), PIXELS),
    "jpeg of 65535 sides": (lambda: jpeg_sides(encoded("JPEG"), 65_535, 65_535), PIXELS),
    "jpeg of many scans": (lambda: many_scans((1_500, 1_500), 60), PIXELS),
    "jpeg of very many scans": (lambda: many_scans((64, 48), 1_000), BROKEN),
    # a header that lies
    "png that cannot fill its sides": (lambda: png(1_900, 1_900, rows=b"\0"), BROKEN),
    "png with less data than its sides": (lambda: png(64, 64, rows=bytes(64 * 20)), BROKEN),
    "png of no width": (lambda: png(0, 5), BROKEN),
    "png of no height": (lambda: png(5, 0), BROKEN),
    "png of no known colour": (lambda: png(8, 8, kind=(8, 5)), BROKEN),
    "png with 3 bits": (lambda: png(8, 8, kind=(3, 0)), BROKEN),
    "png without header": (lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"") + chunk(b"IEND", b"") + bytes(9), BROKEN),
    "png of a wrong checksum": (lambda: (d := png(8, 8))[:29] + b"\0\0\0\0" + d[33:], BROKEN),
    "png of wrong data": (lambda: png(8, 8).replace(b"IDAT\x78", b"IDAT\x79"), BROKEN),
    "jpeg of no height": (lambda: jpeg_sides(encoded("JPEG"), 64, 0), BROKEN),
    "jpeg taller than its data": (lambda: jpeg_sides(encoded("JPEG"), 64, 20_000), BROKEN),
    "gif of no sides": (lambda: gif((0, 0), (0, 0, 0, 0)), BROKEN),
    "webp of other sides than its frame": (lambda: webp_canvas(1_000, 1_000), BROKEN),
    # floods: cheap to send, dear to walk
    "jpeg of a million segments": (lambda: jpeg_with(segment(0xE5, b"") * 1_000_000), BROKEN),
    "png of a million chunks": (lambda: png(8, 8, before=chunk(b"teSt", b"") * 1_000_000), BROKEN),
    "gif of a million comments": (lambda: gif((2, 2), (0, 0, 2, 2), before=b"!\xfe\x01a\0" * 1_000_000), BROKEN),
    "avif of boxes without end": (lambda: encoded("AVIF")[:32] + struct.pack(">I4s", 8, b"free") * 100_000, BROKEN),
    "png text bomb": (lambda: png(8, 8, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(90_000_000), 9))), BROKEN),
    "png profile bomb": (
        lambda: png(8, 8, before=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(90_000_000), 9))),
        BROKEN,
    ),
    # damage
    **{
        f"{kind} cut in half": ((lambda kind=kind: (d := encoded(kind))[: len(d) // 2]), BROKEN)  # type: ignore[misc]
        for kind in FORMATS
    },
    **{
        f"{kind} of its first bytes alone": ((lambda kind=kind: encoded(kind)[:16]), BROKEN)  # type: ignore[misc]
        for kind in FORMATS
    },
    "jpeg without its Huffman tables": (
        lambda: encoded("JPEG", optimize=True).replace(b"\xff\xc4", b"\xff\xe9"),
        BROKEN,
    ),
    "jpeg of wrong Huffman tables": (
        lambda: (d := encoded("JPEG"))[: (i := d.index(b"\xff\xc4") + 5)] + b"\xff" * 16 + d[i + 16 :],
        BROKEN,
    ),
    "jpeg without a frame": (lambda: encoded("JPEG").replace(b"\xff\xc0", b"\xff\xe9"), BROKEN),
    "jpeg of nothing": (lambda: b"\xff\xd8\xff\xd9", BROKEN),
    "jpeg of padding": (lambda: b"\xff\xd8" + b"\xff" * 1_000_000, BROKEN),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_image_made_to_hurt_is_refused_with_its_reason(name: str) -> None:
    make, reason = REFUSED[name]
    data = make()
    started = time.monotonic()
    found = read_image(data, max_pixels=MAX_PIXELS)
    assert not isinstance(found, ImageInfo), found
    assert (found[0], bool(found[1])) == (reason, True)
    assert time.monotonic() - started < 20


GIF_SCRIPT = encoded("GIF") + b"*/=1;alert(1)"
SHOWN: dict[str, tuple[Callable[[], bytes], tuple[str, int, int]]] = {
    "gif that is a script": (lambda: GIF_SCRIPT, ("GIF", 64, 48)),
    "jpeg with a zip behind it": (lambda: encoded("JPEG") + b"PK\x03\x04" + b"evil.exe" * 50, ("JPEG", 64, 48)),
    "png with a page behind it": (lambda: encoded("PNG") + b"<script>alert(1)</script>", ("PNG", 64, 48)),
    "png with php in a comment": (lambda: png(8, 8, before=chunk(b"tEXt", b"a\0<?php evil(); ?>")), ("PNG", 8, 8)),
    "jpeg with an EXIF bomb": (lambda: jpeg_with(segment(0xE1, exif_bomb())), ("JPEG", 64, 48)),
    "png with an EXIF bomb": (lambda: png(8, 8, before=chunk(b"eXIf", exif_bomb()[6:])), ("PNG", 8, 8)),
    "jpeg with a broken profile": (lambda: encoded("JPEG", icc_profile=b"no profile" * 50), ("JPEG", 64, 48)),
    "jpeg with three bytes of padding": (lambda: (d := encoded("JPEG"))[:-2] + b"abc" + d[-2:], ("JPEG", 64, 48)),
    "avif of other sides than its frame": (lambda: avif_sides(1_000, 750), ("AVIF", 1_000, 750)),
    "jpeg of 10 scans": (lambda: encoded("JPEG", progressive=True), ("JPEG", 64, 48)),
    "gif whose second frame differs": (lambda: frames("GIF", (900, 900)), ("GIF", 900, 900)),
    "webp whose second frame differs": (lambda: frames("WEBP", (900, 900)), ("WEBP", 900, 900)),
    "apng whose second frame differs": (lambda: frames("PNG", (900, 900)), ("PNG", 900, 900)),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_shows_an_image_is_read_and_only_its_pixels_leave(name: str) -> None:
    make, expected = SHOWN[name]
    data = make()
    assert read_image(data, max_pixels=MAX_PIXELS) == ImageInfo(*expected)
    picture = decode_image(data, shorter_side=40)
    if "second frame" in name:
        assert picture.getpixel((5, 5))[0] > 150  # type: ignore[index]
    left = reencode(picture, side_px=40)
    assert not any(tail in left for tail in (b"alert", b"PK\x03\x04", b"evil", b"Exif", b"profile", b"<script"))


_PEAK = """
import re, sys
from pathlib import Path
from realsyn_ops.image_codec import decode_image, read_image
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
data = Path(sys.argv[1]).read_bytes()
before = peak()
print(read_image(data, max_pixels=40_000_000), peak() - before, sep="|")
"""


@pytest.mark.parametrize("kind", [*FORMATS, "progressive JPEG", "RGBA PNG", "EXIF bomb"])
def test_an_image_at_the_limit_takes_no_more_than_eleven_bytes_a_pixel(kind: str, tmp_path: Path) -> None:
    size = (8_000, 5_000)
    data = {
        "progressive JPEG": lambda: flat("JPEG", size, progressive=True),
        "RGBA PNG": lambda: png(*size, kind=(8, 6), rows=bytes(size[1] * (1 + 4 * size[0]))),
        "EXIF bomb": lambda: jpeg_with(segment(0xE1, exif_bomb()) * 400),
    }.get(kind, lambda: flat(kind, size, **({"speed": 10} if kind == "AVIF" else {})))()
    (tmp_path / "image").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path / "image")], capture_output=True, text=True, check=True
    )
    found, grown = done.stdout.strip().rsplit("|", 1)
    assert found.startswith("ImageInfo"), found
    assert int(grown) < 11 * size[0] * size[1], f"{int(grown) / 2**20:.0f} MiB"


SEEDS = {kind: encoded(kind) for kind in FORMATS} | {
    "progressive": encoded("JPEG", progressive=True),
    "palette": encoded("PNG", mode="P"),
    "alpha": encoded("WEBP", mode="RGBA"),
    "animation": frames("WEBP", (40, 30)),
    "profile": encoded("JPEG", icc_profile=b"\0\0\2\x0clcms" + bytes(120) + b"acsp" + bytes(300)),
}
_CHANGES = st.lists(
    st.tuples(
        st.integers(0, 400), st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0"])
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(st.sampled_from(sorted(SEEDS)), _CHANGES, st.integers(0, 400))
@example("JPEG", [(0, b"\xff\xd8\xff\xd8")], 0)
def test_a_changed_header_gives_an_image_or_a_reason_in_time(
    seed: str, changes: list[tuple[int, bytes]], cut: int
) -> None:
    data = bytearray(SEEDS[seed])
    for place, noise in changes:
        data[place : place + len(noise)] = noise
    if cut > 350:
        del data[cut:]
    started = time.monotonic()
    found = read_image(bytes(data), max_pixels=1_000_000)
    assert time.monotonic() - started < 20
    if isinstance(found, ImageInfo):
        assert found.width * found.height <= 1_000_000
        assert found.format == image_format(bytes(data))
        assert max(decode_image(bytes(data), max_side=16).size) <= 16
    else:
        assert found[0] in {BROKEN, FORMAT, PIXELS}
        assert found[1]
