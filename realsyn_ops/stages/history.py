"""Whether a day is like the days before it: counts, shares, lengths and mean vectors, within stated tolerances.

Pure figures in, verdicts out. What a day's figures are is the Dag's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

MIN_DAYS = 3
"""With fewer earlier days nothing is usual yet."""
MIN_COUNT = 50
"""Days of fewer records are small enough to differ by chance: nothing is asked of them, nor by them."""

Figures = Mapping[str, Mapping[str, Any]]
"""Of a day: ``counts``, ``shares`` (0 to 1), ``lengths`` and ``vectors``, each by name; no vector of few records."""


@dataclass(frozen=True)
class Tolerance:
    """How far a day may be from the median of earlier ones: counts and lengths by a factor, shares by a difference;
    a mean vector by its cosine with the mean of theirs."""

    max_count_change: float
    max_share_change: float
    max_length_change: float
    min_likeness: float


def compare(figures: Figures, earlier: Sequence[Figures], tolerance: Tolerance) -> list[dict[str, Any]]:
    """A row for each figure that enough earlier days have: value, lowest and highest that are usual, whether it is."""
    if len(earlier) < MIN_DAYS or _size(earlier) < MIN_COUNT:
        return []
    rows = []
    for kind, factor in (("counts", tolerance.max_count_change), ("lengths", tolerance.max_length_change)):
        for name, value in figures.get(kind, {}).items():
            if known := _known(earlier, kind, name):
                rows.append(_row(name, value, median(known) / factor, median(known) * factor))
    for name, value in figures.get("shares", {}).items():
        if known := _known(earlier, "shares", name):
            usual = median(known)
            rows.append(_row(name, value, usual - tolerance.max_share_change, usual + tolerance.max_share_change))
    for name, vector in figures.get("vectors", {}).items():
        if known := [v for v in _known(earlier, "vectors", name) if len(v) == len(vector)]:
            rows.append(_row(name, _cosine(vector, np.mean(known, axis=0)), tolerance.min_likeness, 1.0 + 1e-6))
    return rows


def _known(earlier: Sequence[Figures], kind: str, name: str) -> list[Any]:
    """The figure on those earlier days that have it; none when they are too few."""
    known = [day[kind][name] for day in earlier if name in day.get(kind, {})]
    return known if len(known) >= MIN_DAYS else []


def _size(earlier: Sequence[Figures]) -> float:
    return median(max(day.get("counts", {}).values(), default=0) for day in earlier)


def _row(name: str, value: float, lowest: float, highest: float) -> dict[str, Any]:
    return {"key": name, "value": value, "lowest": lowest, "highest": highest, "is_usual": lowest <= value <= highest}


def _cosine(one: Sequence[float], other: Any) -> float:
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
