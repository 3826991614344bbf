"""How far new sentences have drifted from those a codebook was fitted on, and what of it asks for a refit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_FAR = 0.05
_SEED = 0


@dataclass(frozen=True)
class Fit:
    """What a codebook keeps of the rows it was fitted on.

    ``sizes``: rows of each cluster; ``far_below``: the similarity to its centroid that one row in twenty did not reach.
    """

    n_rows: int
    seed: int
    sizes: tuple[int, ...]
    far_below: float


@dataclass(frozen=True)
class Drift:
    """Figures of new rows under a codebook.

    ``far_share``: of the rows less similar to their centroid than nineteen of twenty of the fit's, which makes 0.05
    without drift. ``distance``: Jensen-Shannon divergence (base 2) of the rows' clusters from the fit's, and
    ``distance_by_chance`` what as many rows drawn by the fit's sizes have. ``excess_bits``: how many bits a word more
    the codebook's word counts need than the rows' own.
    """

    far_share: float
    largest_share: float
    imbalance: float
    distance: float
    distance_by_chance: float
    excess_bits: float


@dataclass(frozen=True)
class DriftLimits:
    max_far_share: float = 0.15
    max_largest_share: float = 0.1
    max_imbalance: float = 5.0
    max_distance: float = 0.1
    max_excess_bits: float = 1.0


def fit_statistics(clusters: np.ndarray, similarities: np.ndarray, *, k: int, seed: int) -> Fit:
    """Of the rows a codebook of k clusters was fitted on: their clusters (n,), and similarities to them (n,)."""
    sizes = np.bincount(clusters, minlength=k)
    far_below = float(np.quantile(similarities, _FAR)) if len(similarities) else -1.0
    return Fit(n_rows=len(clusters), seed=seed, sizes=tuple(sizes.tolist()), far_below=far_below)


def drift(
    fit: Fit,
    clusters: np.ndarray,
    similarities: np.ndarray,
    *,
    words: Mapping[str, int],
    fitted_words: Mapping[str, int],
) -> Drift:
    """Figures of new rows: their clusters (n,), similarities (n,) and word counts. No rows have not drifted."""
    fitted = np.array(fit.sizes, np.int64)
    n = len(clusters)
    if n == 0:
        return Drift(0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    sizes = np.bincount(clusters, minlength=len(fitted))
    chance = np.random.default_rng(_SEED).multinomial(n, fitted / fitted.sum())
    return Drift(
        far_share=float((similarities < fit.far_below).mean()),
        largest_share=float(sizes.max() / n),
        imbalance=float(len(sizes) * ((sizes / n) ** 2).sum()),
        distance=divergence(sizes, fitted),
        distance_by_chance=divergence(chance, fitted),
        excess_bits=excess_bits(words, fitted_words),
    )


def drift_reasons(found: Drift, limits: DriftLimits) -> list[str]:
    """Each figure past its limit, in words; empty when the codebook still fits."""
    judged = (
        ("of the sentences are far from their centroid", found.far_share, limits.max_far_share),
        ("of the sentences are in the largest cluster", found.largest_share, limits.max_largest_share),
        ("is the imbalance of the clusters", found.imbalance, limits.max_imbalance),
        (
            "is the distance of the clusters' sizes, chance taken off",
            found.distance - found.distance_by_chance,
            limits.max_distance,
        ),
        ("bits a word more than by their own counts", found.excess_bits, limits.max_excess_bits),
    )
    return [f"{value:.3g} {what}, at most {limit:g}" for what, value, limit in judged if value > limit]


def divergence(sizes: np.ndarray, others: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits of two histograms, neither empty: 0 of equal shares, 1 of disjoint ones."""
    p, q = sizes / sizes.sum(), others / others.sum()
    middle = (p + q) / 2
    halves = [float((part[part > 0] * np.log2(part[part > 0] / middle[part > 0])).sum()) for part in (p, q)]
    return max(0.0, sum(halves) / 2)


def excess_bits(words: Mapping[str, int], fitted: Mapping[str, int]) -> float:
    """Cross entropy of the words under the fitted counts less their own entropy, in bits a word.

    A count more is given to each word of the fit and to all unknown ones together.
    """
    total, fitted_total = sum(words.values()), sum(fitted.values()) + len(fitted) + 1
    if total == 0:
        return 0.0
    unknown = sum(count for word, count in words.items() if word not in fitted)
    counts = [(count, fitted[word] + 1) for word, count in words.items() if word in fitted]
    counts += [(unknown, 1)] if unknown else []
    return sum(n / total * math.log2(n / total / (given / fitted_total)) for n, given in counts)
