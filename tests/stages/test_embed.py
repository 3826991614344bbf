"""The perceptual hash: near for the same picture in another size or encoding, far for another. Scores of appearance."""

import io
from itertools import combinations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from realsyn_ops.stages.embed import appearance, perceptual_hash

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


def text_page(*, is_dark: bool = False) -> Image.Image:
    page = Image.new("RGB", (420, 512), "black" if is_dark else "white")
    canvas = ImageDraw.Draw(page)
    for line in range(30):
        canvas.text(
            (20, 15 + 16 * line),
            "The quick brown fox jumps over the lazy dog again",
            "white" if is_dark else "black",
            ImageFont.load_default(12),
        )
    return page


def photo_like(sigma: float) -> Image.Image:
    noise = np.random.default_rng(5).normal(size=(400, 512, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 12) * 12 + cv2.GaussianBlur(noise, (0, 0), 1)
    blurred = cv2.GaussianBlur(soft, (0, 0), sigma) if sigma else soft
    return Image.fromarray(np.clip(128 + 60 * blurred, 0, 255).astype(np.uint8))


def logo() -> Image.Image:
    image = Image.new("RGB", (512, 400), "white")
    canvas = ImageDraw.Draw(image)
    canvas.ellipse((100, 60, 400, 340), fill=(200, 20, 30))
    canvas.rectangle((200, 150, 300, 250), fill=(20, 30, 200))
    return image


@pytest.mark.parametrize("is_dark", [False, True])
def test_a_page_of_text_has_text_and_neither_a_photograph_nor_a_logo_has(is_dark: bool) -> None:
    assert appearance(text_page(is_dark=is_dark)).text_share > 0.3
    assert appearance(photo_like(0)).text_share < 0.02
    assert appearance(logo()).text_share < 0.02


def test_sharpness_falls_with_every_blur_and_hardly_with_the_size() -> None:
    scores = [appearance(photo_like(sigma)).sharpness for sigma in (0, 1, 2, 4, 8)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 100 > scores[3]
    large = photo_like(1).resize((1_024, 800), Image.Resampling.LANCZOS)
    assert appearance(large).sharpness == pytest.approx(appearance(photo_like(1)).sharpness, rel=0.2)


@pytest.mark.parametrize("quality", [None, 80])
def test_a_logo_is_flat_and_a_photograph_is_not_even_as_jpeg(quality: int | None) -> None:
    drawn, photo = logo(), photo_like(1)
    if quality:
        drawn, photo = (encoded(image, "JPEG", quality=quality).convert("RGB") for image in (drawn, photo))
    assert appearance(drawn).flatness > 0.9
    assert appearance(photo).flatness < 0.3


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (9, 9)])
def test_any_size_has_scores_within_their_bounds(size: tuple[int, int]) -> None:
    found = appearance(picture(3).resize(size))
    assert 0 <= found.text_share <= 1
    assert 0 < found.flatness <= 1
    assert found.sharpness >= 0
