"""Bounds on similarity: a text below the lower mismatches the image, one above the upper reads what it says."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from realsyn_ops.stages.sample.order import Numbers, from_ordered_bits, order_statistics, ordered_bits

QUANTILES = (
    (0.0, 1.0),
    (0.01, 0.99),
    (0.025, 0.975),
    (0.05, 0.95),
    (0.075, 0.925),
    (0.1, 0.9),
    (0.15, 0.85),
    (0.25, 0.75),
)
"""What the what-if table asks for."""


class Bounds(NamedTuple):
    """A pair within has a similarity from ``lower`` to ``upper``, both included."""

    lower: float
    upper: float


def similarity_bounds(similarities: Numbers, quantiles: Sequence[tuple[float, float]]) -> list[Bounds]:
    """Bounds at pairs of quantiles, exactly: values that occur, the wider where a quantile falls between two."""
    n = sum(len(block) for block in similarities())
    if not n:
        return [Bounds(0.0, 0.0)] * len(quantiles)
    lower = [int(np.floor(low * (n - 1))) for low, _ in quantiles]
    upper = [int(np.ceil(high * (n - 1))) for _, high in quantiles]
    found, _ = order_statistics(lambda: map(ordered_bits, similarities()), np.array(lower + upper), n_bits=32)
    values = from_ordered_bits(found).astype(np.float64).tolist()
    return [Bounds(*pair) for pair in zip(values[: len(lower)], values[len(lower) :], strict=True)]


def is_within(similarities: np.ndarray, bounds: Bounds) -> np.ndarray:
    """(n,) whether each similarity is within the bounds; one that is no number is not."""
    return (similarities >= np.float32(bounds.lower)) & (similarities <= np.float32(bounds.upper))


def what_if(similarities: Numbers, bounds: Sequence[Bounds]) -> list[int]:
    """How many pairs lie within each of several bounds."""
    n_within = np.zeros(len(bounds), np.int64)
    for block in similarities():
        n_within += [np.count_nonzero(is_within(block, each)) for each in bounds]
    return n_within.tolist()
