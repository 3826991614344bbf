"""What the shortcut loses: recall against exact search, with the interval that a sample of images leaves."""

from math import sqrt

import numpy as np

from realsyn_ops.stages.retrieve.candidates import Candidates

_Z = 1.96


def recall_at(found: Candidates, exact: Candidates, *, n: int) -> np.ndarray:
    """(m,) per image the share of the exact search's best n that are among the n found; 1 where it has none.

    Equal scores are equally good: a sentence counts as found when its score is.
    """
    wanted = np.isfinite(exact.scores[:, :n])
    hits = (found.scores[:, :n] >= np.where(wanted, exact.scores[:, :n], np.inf).min(axis=1)[:, None]).sum(axis=1)
    total = wanted.sum(axis=1)
    return np.where(total > 0, np.minimum(hits, total) / np.maximum(total, 1), 1.0)


def recall_interval(shares: np.ndarray) -> tuple[float, float]:
    """95% interval of their mean. Images are independent of each other, an image's texts are not: each counts once."""
    return wilson_interval(float(shares.mean()), len(shares)) if len(shares) else (0.0, 1.0)


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share measured on n."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return centre - half, min(1.0, centre + half)
