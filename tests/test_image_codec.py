"""Colours, modes and sizes of decoded images: the same picture however it was stored."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps

from realsyn_ops.image_codec import ImageInfo, decode_image, image_format, read_image, reduce_image
from realsyn_ops.records import Reason


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def scene(width: int = 640, height: int = 400) -> Image.Image:
    """Soft shapes of many colours, like a photograph."""
    y, x = np.mgrid[:height, :width] / 60
    planes = [np.sin(x + k) * np.cos(y * (1 + k / 3)) + np.sin(x * y / 9 + k) / 2 for k in range(3)]
    return Image.fromarray(np.clip(128 + 70 * np.stack(planes, -1), 0, 255).astype(np.uint8))


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


def deep_png(channels: int, value: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 4, 4, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = (b"\0" + struct.pack(">H", value) * 4 * channels) * 4
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def interlaced() -> bytes:
    """53 x 37 in Adam7's seven passes, no filters."""
    pixels = np.asarray(scene(53, 37))
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + row.tobytes() for top, left, down, across in passes for row in pixels[top::down, left::across]
    )
    header = struct.pack(">IIBBBBB", 53, 37, 8, 2, 0, 0, 1)
    return joined([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def glass(width: int = 53, height: int = 37) -> Image.Image:
    """A scene with every degree of transparency."""
    picture = scene(width, height).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((width, height)))
    return picture


def oriented(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture, "PNG", exif=exif)


PNGS: dict[str, bytes] = {
    "RGB": encoded(scene(53, 37), "PNG"),
    "RGBA": encoded(glass(), "PNG"),
    "opaque RGBA": encoded(scene(53, 37).convert("RGBA"), "PNG"),
    "one pixel": encoded(scene(1, 1), "PNG"),
    "grey": encoded(scene(53, 37).convert("L"), "PNG"),
    "grey with alpha": encoded(glass().convert("LA"), "PNG"),
    "palette": encoded(scene(53, 37).quantize(200), "PNG"),
    "small palette with alpha": encoded(scene(53, 37).quantize(16), "PNG", transparency=bytes(range(0, 256, 16))),
    "two colours": encoded(scene(53, 37).convert("1"), "PNG"),
    "a transparent colour": encoded(scene(53, 37), "PNG", transparency=scene(53, 37).getpixel((9, 9))),
    "interlaced": interlaced(),
    "16 bits": deep_png(3, 0x80FF),
    "turned": oriented(scene(53, 37)),
    "turned, said at the end": joined([*(c := chunks(oriented(scene(53, 37))))[:1], *c[2:-1], c[1], c[-1]]),
    "many IDAT": joined(
        [*(c := chunks(encoded(scene(53, 37), "PNG")))[:1], *((b"IDAT", bytes([b])) for b in c[1][1]), c[-1]]
    ),
}


def by_pillow(data: bytes) -> Image.Image:
    """On white and turned, by Pillow alone."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode == "I;16" or data[24] == 16:
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    layered = image.convert("RGBA")
    ground.paste(layered, mask=layered)
    return ground.convert("RGB")


@pytest.mark.parametrize("name", PNGS)
def test_every_kind_of_png_has_the_pixels_that_pillow_gives(name: str) -> None:
    expected, found = by_pillow(PNGS[name]), decode_image(PNGS[name])
    assert found.size == expected.size
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["RGB", "RGBA", "palette", "interlaced"])
@pytest.mark.parametrize("damage", ["cut", "a wrong checksum of all rows", "a wrong checksum of a chunk", "few rows"])
def test_a_damaged_png_is_refused(name: str, damage: str) -> None:
    data = PNGS[name]
    parts = [(kind, body) for kind, body in chunks(data) if kind != b"IDAT"]
    rows = b"".join(body for kind, body in chunks(data) if kind == b"IDAT")
    short = zlib.compress(zlib.decompress(rows)[:600])
    damaged = {
        "cut": data[: len(data) // 2],
        "a wrong checksum of all rows": joined([*parts[:-1], (b"IDAT", rows[:-1] + bytes([rows[-1] ^ 1])), parts[-1]]),
        "a wrong checksum of a chunk": data[:29] + b"\0\0\0\0" + data[33:],
        "few rows": joined([*parts[:-1], (b"IDAT", short), parts[-1]]),
    }[damage]
    assert isinstance(read_image(data, max_pixels=10_000), ImageInfo)
    assert read_image(damaged, max_pixels=10_000)[0] == Reason.IMAGE_BROKEN  # type: ignore[index]
    if damage != "a wrong checksum of all rows":
        with pytest.raises((OSError, SyntaxError, ValueError)):
            decode_image(damaged)


def test_formats_are_told_by_their_first_bytes() -> None:
    names = {kind: image_format(encoded(scene(32, 32), kind)) for kind in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP")}
    assert names == {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WEBP", "GIF": "GIF", "AVIF": "AVIF", "BMP": None}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95, "speed": 10}),
        ("PNG", {}),
    ],
)
def test_a_picture_is_the_same_in_every_format_and_size(kind: str, options: dict[str, object]) -> None:
    picture = scene()
    data = encoded(picture, kind, **options)
    assert difference(decode_image(data), picture) < 2
    assert difference(decode_image(data, max_side=100), picture.resize((100, 62), Image.Resampling.BOX)) < 2.5
    assert decode_image(data, shorter_side=100).size == (160, 100)


@pytest.mark.parametrize(
    ("channels", "value", "shown"), [(1, 0x8000, 128), (3, 0x80FF, 128), (4, 0xFFFF, 255), (1, 0xFFFF, 255)]
)
def test_16_bits_become_8(channels: int, value: int, shown: int) -> None:
    assert decode_image(deep_png(channels, value)).getpixel((1, 1)) == (shown,) * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_at_every_size(mode: str) -> None:
    picture = Image.new("RGBA", (400, 400), (200, 30, 30, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 400, 200))
    data = encoded(picture.convert(mode), "PNG")
    for decoded in (decode_image(data), decode_image(data, max_side=40)):
        assert decoded.getpixel((5, 5)) == (255, 255, 255)
        assert decoded.getpixel((5, decoded.height - 5)) != (255, 255, 255)


def test_cmyk_is_inverted_where_adobe_wrote_it_and_only_there() -> None:
    adobe = encoded(scene().convert("CMYK"), "JPEG", quality=95)
    place = adobe.index(b"\xff\xee")
    plain = adobe[:place] + adobe[place + 2 + int.from_bytes(adobe[place + 2 : place + 4], "big") :]
    by_pillow = Image.open(io.BytesIO(adobe))
    assert difference(decode_image(adobe), by_pillow.convert("RGB")) == 0
    assert difference(decode_image(adobe), scene()) < 5
    assert difference(decode_image(plain), ImageChops.invert(by_pillow).convert("RGB")) == 0


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged: nobody can take it for sRGB."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (n_tags,) = struct.unpack_from(">I", data, 128)
    places = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * n_tags, 12)}
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = data[blue + 4 : blue + 12], data[red + 4 : red + 12]
    return bytes(data)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
def test_a_colour_profile_is_followed(kind: str, options: dict[str, object]) -> None:
    picture = Image.new("RGB", (64, 64), (250, 10, 10))
    red, _, blue = decode_image(encoded(picture, kind, icc_profile=swapped_profile(), **options)).getpixel((9, 9))  # type: ignore[misc]
    assert blue > 200 > 100 > red


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        b"no profile at all",
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        swapped_profile()[:200],
    ],
    ids=["sRGB", "garbage", "of another mode", "cut"],
)
def test_a_profile_that_says_srgb_or_nothing_changes_no_pixel(profile: bytes) -> None:
    picture = scene(64, 64)
    assert difference(decode_image(encoded(picture, "PNG", icc_profile=profile)), picture) == 0


def test_the_same_bytes_give_the_same_pixels_and_the_first_decoder_changes_nothing() -> None:
    data = encoded(scene(1_000, 700), "JPEG", quality=90, subsampling=0)
    assert decode_image(data, max_side=300).tobytes() == decode_image(data, max_side=300).tobytes()
    assert difference(decode_image(data), Image.open(io.BytesIO(data))) == 0


def test_a_reduced_picture_keeps_its_ratio_and_a_small_one_its_pixels() -> None:
    assert reduce_image(scene(640, 400), shorter_side=224).size == (358, 224)
    assert reduce_image(scene(2_000, 10), shorter_side=5).size == (1_000, 5)
    small = scene(30, 20)
    assert reduce_image(small, shorter_side=224) is small
