"""Which images a training step sees, and which of its texts each of them has: one at random, every time anew."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Draw(NamedTuple):
    """``images`` (b,) their positions, no two alike; ``texts`` (b,) which of its texts each has."""

    images: np.ndarray
    texts: np.ndarray


def draw_batches(n_texts: np.ndarray, *, n_steps: int, batch_size: int, seed: int) -> Iterator[Draw]:
    """So many batches of images with ``n_texts`` (n,) texts each, at least one.

    Every image is seen once before any is seen again; what is left of a round that fills no batch is left out of it.
    Images and texts are drawn apart: arms of the same images see them in the same order, however many texts they have.
    """
    of_images, of_texts = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    size = min(batch_size, len(n_texts))
    a_round = len(n_texts) // size
    for step in range(n_steps):
        place = step % a_round
        if place == 0:
            order = of_images.permutation(len(n_texts))
        images = order[place * size : (place + 1) * size]
        yield Draw(images, (of_texts.random(size) * n_texts[images]).astype(np.int64))
