"""Models loaded once for all tests, and pictures drawn by the tests themselves."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realsyn_ops.kinds import Encoder, LanguageModel
from realsyn_ops.models.load import load_encoder, load_language_model
from realsyn_ops.settings import Settings


@pytest.fixture(scope="session")
def models_path() -> Path:
    """The deployment's own folder: unpacking the demo's language model takes a minute, once."""
    return Settings().models_path


@pytest.fixture(scope="session")
def demo_encoder(models_path: Path) -> Encoder:
    return load_encoder("demo", device="cpu", threads=1, models_path=models_path)


@pytest.fixture(scope="session")
def demo_language_model(models_path: Path) -> LanguageModel:
    return load_language_model("demo", device="cpu", threads=1, models_path=models_path)


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """An orange on white, noise, a grey ramp, and stripes, of different sizes."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:240, 0:240]
    orange = np.full((240, 240, 3), 255, np.uint8)
    inside = (x - 120) ** 2 + (y - 120) ** 2 < 80**2
    orange[inside] = np.stack([235 - x // 8, 140 - y // 4, np.full_like(x, 20)], axis=-1)[inside]
    noise = rng.integers(0, 256, (130, 300, 3), dtype=np.uint8)
    ramp = np.repeat(np.linspace(0, 255, 200, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(100, axis=0)
    bands = ((np.arange(260) // 13) % 2 * 255).astype(np.uint8)
    stripes = np.repeat(bands[:, None, None], 3, axis=2).repeat(180, axis=1)
    return [Image.fromarray(array) for array in (orange, noise, ramp, stripes)]
