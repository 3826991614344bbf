"""Means over seeds with their intervals, by Student's t: seeds are few and their spread is not known."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and half the width of its confidence interval; one seed has none."""

    mean: float
    half: float | None

    @property
    def low(self) -> float:
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        return self.mean + (self.half or 0.0)

    @property
    def excludes_zero(self) -> bool:
        return self.half is not None and abs(self.mean) > self.half


def interval(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    """Of the mean of independent values. It says what other seeds would give, not what other pictures would."""
    n = len(values)
    mean = float(np.mean(values))
    if n < 2:
        return Interval(mean, None)
    return Interval(mean, float(t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)))


def chance(metric: str, facts: Mapping[str, int]) -> float:
    """What guessing gives: of ``n_classes`` classes, or of ``n_images`` images with ``n_texts`` texts in all."""
    if metric.startswith(("image_retrieval_recall@", "text_retrieval_recall@")):
        k, n = int(metric.partition("@")[2]), facts["n_images"]
        return min(1.0, k / n)
    k = 5 if metric == "acc5" else 1
    return min(1.0, k / facts["n_classes"])
