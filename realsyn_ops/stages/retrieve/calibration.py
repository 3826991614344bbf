"""Choosing a `Sight` from the first images and sentences: once a codebook, on images that are not those measured later.

Some images make the basis, others (held out) set how far an image reaches, so that `target_recall` of their true best
sentences is found. With few images every cluster is probed.
"""

from collections.abc import Iterable
from dataclasses import replace
from math import ceil

import faiss
import numpy as np
from scipy.sparse import csr_array

from realsyn_ops.stages.retrieve.sight import BEST_REACH, Sight, assign, project, score_moments

_MIN_IMAGES = 100
_ENERGY = 0.975
"""Share of the images' squared length that the basis holds."""
_CLUSTERED = 48
"""Directions in which sentences are clustered."""
_SENTENCES_PER_CLUSTER = 200
"""Half as many as the codebook has: images look at three fifths as many sentences, and probe a fifth more clusters."""
_MAX_CLUSTERS = 65_536
_TRAINED_PER_CLUSTER, _LEAST_TRAINED = 64, 32
_ITERATIONS = 10
_HELD_OUT = 2_000
_SEARCHED = 1_000_000
"""Sentences, others than made the clusters, in which the held-out images' best are looked for, unless in all. The best
of a part lie farther than the best of all, so this errs to the safe side."""
_PAIRS = 2_000_000_000
"""Of a held-out image and a searched sentence, at most."""
_PROBES_MISS = 0.5
"""Share of what may be missed that the probes miss; the rest is for chance."""
_SPREAD_PRIOR = 20
_PRIOR = 50
"""Weight, in images, of the sentences' own directions among the images': they keep a basis of few images sane."""


def calibrate(
    images: np.ndarray,
    sentences: np.ndarray,
    *,
    target_recall: float,
    n_texts: int,
    seed: int,
    n_sentences: int = 0,
    everything: Iterable[np.ndarray] | None = None,
) -> Sight:
    """What is frozen. images (m, d), sentences (n, d): unit rows in an order of their own (by key), all or a sample.

    n_sentences: how many there are, of which these are a sample; 0 for these. Clusters become smaller as they grow
    in number, so that an image looks at a smaller share of many. everything: of a sample, parts (k, d) of all
    sentences, read once, in which the held-out images' best are looked for: in a sample they lie farther, and images
    would have to reach farther than they need.
    """
    draw = np.random.default_rng(seed)
    images = images[draw.permutation(len(images))].astype(np.float32)
    held_out, made_of = np.split(images, [min(_HELD_OUT, len(images) // 2)])
    basis = _basis(made_of, sentences)
    wanted = (n_sentences or len(sentences)) // _SENTENCES_PER_CLUSTER
    k = max(1, min(_MAX_CLUSTERS, wanted, len(sentences) // _LEAST_TRAINED))
    rows = draw.permutation(len(sentences))[: k * _TRAINED_PER_CLUSTER + _SEARCHED]
    n_trained = min(k * _TRAINED_PER_CLUSTER, (len(rows) + 1) // 2 if everything is None else len(rows))
    n_searched = len(rows) - n_trained if everything is None else max(n_sentences, len(rows))
    sight = _clustered(basis, sentences[np.sort(rows[:n_trained])].astype(np.float32, copy=False), k, seed)
    if len(held_out) < _MIN_IMAGES or n_searched < n_texts:
        return sight
    held_out = held_out[: max(_MIN_IMAGES, _PAIRS // n_searched)]
    best = _best(held_out, everything or [sentences[np.sort(rows[n_trained:])]], n_texts)
    clusters = assign(sight, best.reshape(-1, best.shape[-1])).reshape(best.shape[:2])
    return replace(sight, reach=_reach(sight, held_out, clusters, (1 - target_recall) * _PROBES_MISS))


def _best(images: np.ndarray, parts: Iterable[np.ndarray], n: int) -> np.ndarray:
    """(m, n, d) the best n sentences of each image in parts of all sentences."""
    scores, rows = np.full((len(images), 0), 0, np.float32), np.empty((len(images), 0, images.shape[1]), np.float32)
    for part in parts:
        part = np.ascontiguousarray(part, np.float32)
        found, ids = faiss.knn(images, part, min(n, len(part)), metric=faiss.METRIC_INNER_PRODUCT)
        scores, rows = np.concatenate([scores, found], axis=1), np.concatenate([rows, part[ids]], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
        scores = np.take_along_axis(scores, order, axis=1)
        rows = np.take_along_axis(rows, order[:, :, None], axis=1)
    return rows


def _basis(images: np.ndarray, sentences: np.ndarray) -> np.ndarray:
    """(d, e): an even number of leading directions of the images, mixed with a few of the sentences."""
    some = sentences[:: max(1, len(sentences) // 10_000)].astype(np.float64)
    seen = images.astype(np.float64)
    moment = (seen.T @ seen + _PRIOR * some.T @ some / max(1, len(some))) / (len(seen) + _PRIOR)
    values, vectors = np.linalg.eigh(moment)
    energy = np.cumsum(values[::-1]) / max(values.sum(), 1e-12)
    e = min(int(np.searchsorted(energy, _ENERGY)) // 16 * 16 + 16, len(values) // 2 * 2)
    return np.ascontiguousarray(vectors[:, ::-1][:, :e], np.float32)


def _clustered(basis: np.ndarray, sentences: np.ndarray, k: int, seed: int) -> Sight:
    """K-means as images see it; every cluster's moments are drawn towards all sentences' by a few."""
    e = min(_CLUSTERED, basis.shape[1])
    seen = project(basis, sentences)
    centroids = np.zeros((1, e), np.float32)
    if len(sentences):
        kmeans = faiss.Kmeans(
            e, k, niter=_ITERATIONS, seed=seed, min_points_per_centroid=1, max_points_per_centroid=_TRAINED_PER_CLUSTER
        )
        kmeans.train(np.ascontiguousarray(seen[:, :e], np.float32))
        centroids = np.asarray(kmeans.centroids)
    sight = Sight(
        basis, centroids, np.zeros((k, basis.shape[1]), np.float32), np.zeros((k, basis.shape[1]), np.float32), np.inf
    )
    if len(sentences) == 0:
        return sight
    clusters = assign(sight, sentences)
    sums, squares = (
        csr_array((np.ones(len(seen)), (clusters, np.arange(len(seen)))), (k, len(seen))) @ x for x in (seen, seen**2)
    )
    sizes = np.bincount(clusters, minlength=k)[:, None]
    means = (sums + seen.mean(axis=0)) / (sizes + 1)
    within = np.maximum(squares.sum(axis=0) - (sums**2 / np.maximum(sizes, 1)).sum(axis=0), 0) / len(seen)
    scatter = np.maximum(squares - sums**2 / np.maximum(sizes, 1), 0)
    variances = (scatter + _SPREAD_PRIOR * within) / (sizes + _SPREAD_PRIOR)
    return replace(sight, means=means.astype(np.float32), variances=variances.astype(np.float32))


def _reach(sight: Sight, images: np.ndarray, wanted: np.ndarray, may_miss: float) -> float:
    """Deviations that let the images probe their wanted clusters (m, t)."""
    needed = []
    for start in range(0, len(images), 512):
        mean, spread = score_moments(sight, images[start : start + 512])
        best = (mean + np.float32(BEST_REACH) * spread).max(axis=1, keepdims=True)
        needed.append(np.take_along_axis((best - mean) / spread, wanted[start : start + 512], axis=1))
    return _covering(np.concatenate(needed), may_miss)


def _covering(values: np.ndarray, may_miss: float) -> float:
    """The least bound that a value like these (m, t) exceeds with no more than that chance (conformal); inf if none."""
    ordered = np.sort(values.ravel())
    place = ceil((len(ordered) + 1) * (1 - may_miss))
    return float(ordered[place - 1]) if place <= len(ordered) else float("inf")
