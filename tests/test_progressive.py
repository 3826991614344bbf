"""Progressive JPEGs made lighter: at 1/8 the same picture bit for bit, else nearly, and nothing broken made whole.

The scripts of scans are libjpeg's, which most encoders use. Those of others are built here from its scans.
"""

import io
import re
from itertools import pairwise

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from realsyn_ops.image_codec import ImageInfo, decode_image, read_image
from realsyn_ops.progressive import MAX_LOST_LEVELS, lighter_jpeg
from realsyn_ops.records import Reason

SIZE = (1_003, 668)
SCAN = re.compile(rb"\xff\xda")


def photograph(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """Soft shapes, edges and grain: every frequency of every component has something to tell."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: size[1], : size[0]] / 40
    planes = [np.sin(x + k) * np.cos(y * (1 + k / 3)) + 0.6 * (np.sin(x * y / 9 + k) > 0) for k in range(3)]
    grain = rng.normal(0, 8, (size[1], size[0], 3))
    return Image.fromarray(np.clip(110 + 60 * np.stack(planes, -1) + grain, 0, 255).astype(np.uint8)).convert(mode)


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    sink = io.BytesIO()
    (image or photograph()).save(sink, "JPEG", **{"quality": 95, "progressive": True, **options})
    return sink.getvalue()


def decoded(data: bytes, scale: int) -> np.ndarray:
    height, width, space, _ = simplejpeg.decode_jpeg_header(data)
    sides = {"min_width": -(-width // scale), "min_height": -(-height // scale)}
    return simplejpeg.decode_jpeg(data, "GRAY" if space == "Gray" else "RGB", fastdct=False, **sides).astype(int)


def scans(data: bytes) -> list[int]:
    return [found.start() for found in SCAN.finditer(data)]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((one - other) ** 2))))


SUBSAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 9), (640, 400), SIZE])
def test_an_eighth_without_luma_s_scans_is_the_same_bit_for_bit(size: tuple[int, int], subsampling: str) -> None:
    data = jpeg(photograph(size), quality=75, subsampling=SUBSAMPLINGS[subsampling])
    light = lighter_jpeg(data, 8)
    assert np.array_equal(decoded(light, 8), decoded(data, 8))
    if size == SIZE:
        assert len(light) < len(data) / 2


def test_a_grey_eighth_needs_the_first_coefficients_only() -> None:
    data = jpeg(photograph(mode="L"))
    light = lighter_jpeg(data, 8)
    assert np.array_equal(decoded(light, 8), decoded(data, 8))
    assert len(light) < len(data) / 5


@pytest.mark.parametrize(
    ("quality", "scale", "is_lighter"),
    [(100, 4, True), (100, 2, True), (97, 4, True), (90, 4, False), (90, 2, False), (75, 2, False), (30, 4, False)],
)
def test_fine_steps_lose_their_last_bits_and_coarse_ones_none(quality: int, scale: int, is_lighter: bool) -> None:
    data = jpeg(quality=quality, subsampling=0)
    light = lighter_jpeg(data, scale)
    assert (len(light) < 0.9 * len(data)) == is_lighter
    lost = decoded(light, scale) - decoded(data, scale)
    # A block's loss is bounded in each component; red and blue mix two of them.
    assert np.sqrt(np.mean(lost**2)) <= MAX_LOST_LEVELS * (1 + 1.772)
    assert psnr(decoded(light, scale), decoded(data, scale)) > 46


def test_no_block_loses_more_than_the_bound() -> None:
    data = jpeg(photograph((1_000, 640), "L"), quality=98)
    lost = (decoded(lighter_jpeg(data, 2), 2) - decoded(data, 2))[: 4 * 80, : 4 * 125]
    blocks = lost.reshape(80, 4, 125, 4).transpose(0, 2, 1, 3).reshape(-1, 16)
    assert 0 < np.sqrt((blocks**2).mean(axis=1)).max() <= MAX_LOST_LEVELS


def with_a_table_between(data: bytes) -> bytes:
    place = scans(data)[3]
    table = data[data.index(b"\xff\xdb") :][:69]
    return data[:place] + table + data[place:]


LEFT_ALONE = {
    "the full scale": (jpeg, 1),
    "a baseline file": (lambda: jpeg(progressive=False), 8),
    "no JPEG": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(99), 8),
    "nothing": (lambda: b"", 8),
    "a file without an end": (lambda: jpeg()[:-2], 8),
    "a file cut in its last scan": (lambda: (d := jpeg())[: scans(d)[-1] + 40], 8),
    "a file cut in its first scan": (lambda: (d := jpeg())[: scans(d)[0] + 40], 8),
    "a file cut in a header": (lambda: (d := jpeg())[: scans(d)[4] + 5], 8),
    "a file without its last scan": (lambda: (d := jpeg())[: scans(d)[-1]] + b"\xff\xd9", 8),
    "a scan that comes twice": (lambda: (d := jpeg())[:-2] + d[scans(d)[-1] :], 8),
    "steps that change in between": (lambda: with_a_table_between(jpeg()), 8),
    "a component that no frame names": (lambda: (d := jpeg())[: (i := scans(d)[-1] + 5)] + b"\x63" + d[i + 1 :], 8),
    "components without steps": (lambda: jpeg().replace(b"\xff\xdb", b"\xff\xec"), 8),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_no_plain_progressive_file_is_left_as_it_is(name: str) -> None:
    make, scale = LEFT_ALONE[name]
    data = make()
    assert lighter_jpeg(data, scale) == data


def test_restart_markers_and_what_stands_behind_the_end_do_no_harm() -> None:
    data = jpeg(restart_marker_blocks=7) + b"PK\x03\x04 and more"
    assert np.array_equal(decoded(lighter_jpeg(data, 8), 8), decoded(data, 8))


def test_a_file_of_other_scans_than_libjpeg_s_is_read_by_its_own_script() -> None:
    """Luma's last bits before those of the colours, as some encoders order them."""
    data = jpeg(quality=98, subsampling=0)
    starts = [*scans(data), len(data) - 2]
    # Each scan with the Huffman table before it.
    starts = [data.rindex(b"\xff\xc4", 0, at) if at < len(data) - 2 else at for at in starts]
    parts = [data[one:other] for one, other in pairwise(starts[7:])]
    other = data[: starts[7]] + b"".join(reversed(parts)) + data[-2:]
    assert np.array_equal(decoded(other, 1), decoded(data, 1))
    for scale in (2, 4, 8):
        assert psnr(decoded(lighter_jpeg(other, scale), scale), decoded(other, scale)) > 44
        assert len(lighter_jpeg(other, scale)) < 0.9 * len(other)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_progressive_file_that_is_cut_is_refused_and_decodes_at_no_size(place: float) -> None:
    data = jpeg()
    cut = data[: int(place * len(data))]
    assert read_image(cut, max_pixels=10**6)[0] == Reason.IMAGE_BROKEN  # type: ignore[index]
    for side in (64, 224):
        with pytest.raises(ValueError, match="Premature end"):
            decode_image(cut, max_side=side)


def test_damage_in_a_scan_that_no_size_needs_is_still_refused() -> None:
    data = jpeg(quality=100)
    last = scans(data)[-1]
    damaged = data[: last + 200] + b"\xff\x00" * 2_000 + data[last + 4_200 :]
    assert lighter_jpeg(damaged, 8) == lighter_jpeg(data, 8)
    assert read_image(damaged, max_pixels=10**6)[0] == Reason.IMAGE_BROKEN  # type: ignore[index]
    assert isinstance(read_image(data, max_pixels=10**6), ImageInfo)
