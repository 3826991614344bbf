"""Semantic balance sampling: bounds on image/synthetic-text similarity, then a cap on every image cluster.

The paper drops 15.0% by similarity, clusters the images and keeps at most `cap` of a cluster, drawn at random (Semantic
Balance Sampling). Here the wanted size is given and the cap solved for; the draw is by hash of key and seed, so new
images change few selections and order never matters.
"""

from dataclasses import dataclass

import numpy as np

from realsyn_ops.records import Reason, hash_order


@dataclass(frozen=True)
class Selection:
    """What a release takes: per pair (n,) the reason it is left out, None for those in; the bounds and the cap used."""

    reasons: list[Reason | None]
    lower: float
    upper: float
    cap: int


def similarity_bounds(similarities: np.ndarray, *, lower_quantile: float, upper_quantile: float) -> tuple[float, float]:
    """Bounds at two quantiles: below the first a text mismatches, above the second it reads what the picture says."""
    if len(similarities) == 0:
        return 0.0, 0.0
    ordered = np.sort(similarities.astype(np.float64))
    lower = ordered[int(np.floor(lower_quantile * (len(ordered) - 1)))]
    upper = ordered[int(np.ceil(upper_quantile * (len(ordered) - 1)))]
    return float(lower), float(upper)


def solve_cap(sizes: np.ndarray, wanted: int) -> int:
    """The smallest cap with which clusters of these sizes give ``wanted`` members or more (all, if there are fewer)."""
    if wanted >= sizes.sum():
        return int(sizes.max(initial=0))
    low, high = 0, int(sizes.max(initial=0))
    while low < high:
        middle = (low + high) // 2
        if np.minimum(sizes, middle).sum() >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def select(
    keys: list[str],
    similarities: np.ndarray,
    clusters: np.ndarray,
    *,
    bounds: tuple[float, float],
    size: int,
    seed: int,
) -> Selection:
    """Choose exactly ``size`` pairs (all within bounds, when there are fewer).

    keys (n,), similarities (n,), clusters (n,) ids of image clusters. Inside a cluster the lowest hashes of (key, seed)
    win; the last rank that the cap opens is given to clusters by the same hashes until the size is met.
    """
    lower, upper = bounds
    reasons: list[Reason | None] = [None] * len(keys)
    inside = []
    for i, similarity in enumerate(similarities):
        if similarity < lower:
            reasons[i] = Reason.SIMILARITY_TOO_LOW
        elif similarity > upper:
            reasons[i] = Reason.SIMILARITY_TOO_HIGH
        else:
            inside.append(i)
    sizes = np.bincount(clusters[inside]) if inside else np.empty(0, np.int64)
    cap = solve_cap(sizes, size)
    members: dict[int, list[int]] = {}
    for i in sorted(inside, key=lambda i: hash_order(keys[i], seed)):
        members.setdefault(int(clusters[i]), []).append(i)
    chosen = [i for group in members.values() for i in group[: max(0, cap - 1)]]
    last = [group[cap - 1] for group in members.values() if cap and len(group) >= cap]
    last.sort(key=lambda i: hash_order(keys[i], seed))
    kept = {*chosen, *last[: max(0, size - len(chosen))]}
    for i in inside:
        if i not in kept:
            reasons[i] = Reason.CLUSTER_CAP
    return Selection(reasons, lower, upper, cap)
