"""The perceptual hash: near for the same picture in another size or encoding, far for another picture."""

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from realsyn_ops.stages.embed import perceptual_hash

NEAR, FAR = 4, 16


def picture(seed: int) -> Image.Image:
    """Shapes and a gradient, 320 x 240."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (320, 240), tuple(rng.integers(0, 256, 3).tolist()))
    canvas = ImageDraw.Draw(image)
    for _ in range(8):
        x, y, width, height = rng.integers(0, 320), rng.integers(0, 240), *rng.integers(30, 160, 2)
        shape = canvas.ellipse if rng.random() < 0.5 else canvas.rectangle
        shape((int(x), int(y), int(x + width), int(y + height)), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


def encoded(image: Image.Image, form: str, **options: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, form, **options)
    return Image.open(data)


def distance(one: Image.Image, other: Image.Image) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: encoded(image, "JPEG", quality=60),
        lambda image: encoded(image, "WEBP", quality=60),
        lambda image: encoded(image, "PNG"),
        lambda image: image.resize((160, 120)),
        lambda image: image.resize((900, 675), Image.Resampling.BICUBIC),
        lambda image: image.resize((300, 240)),
        lambda image: ImageEnhance.Brightness(image).enhance(0.9),
        lambda image: encoded(image.resize((200, 150)), "JPEG", quality=75),
    ],
    ids=["jpeg", "webp", "png", "half", "larger", "squeezed", "darker", "thumbnail"],
)
def test_the_same_picture_stays_near(change: object) -> None:
    for seed in range(6):
        assert distance(picture(seed), change(picture(seed))) <= NEAR  # type: ignore[operator]


def test_other_pictures_are_far() -> None:
    hashes = [perceptual_hash(picture(seed)) for seed in range(20)]
    assert min((a ^ b).bit_count() for a, b in combinations(hashes, 2)) >= FAR


def test_a_mirrored_picture_is_another() -> None:
    assert distance(picture(1), picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)) >= FAR


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_the_mode_of_the_pixels_does_not_matter(mode: str) -> None:
    assert distance(picture(2), picture(2).convert(mode)) <= NEAR


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (32, 32)])
def test_any_size_has_a_hash_of_64_bits(size: tuple[int, int]) -> None:
    assert 0 <= perceptual_hash(picture(3).resize(size)) < 2**64


def test_the_hash_is_the_same_everywhere() -> None:
    ramp = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8)
    assert perceptual_hash(Image.fromarray(ramp)) == perceptual_hash(Image.fromarray(ramp.copy()))
