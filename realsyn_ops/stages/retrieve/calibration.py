"""Choosing a `Sight` from the first images and sentences: once a codebook, on images that are not those measured later.

Some images make the basis, others (held out) set the number of clusters probed and the margin of the codes so that
`target_recall` of their true best sentences is found. With few images or sentences nothing is cut: every cluster is
probed, every sentence scored.
"""

from dataclasses import replace
from math import ceil

import faiss
import numpy as np
from scipy.sparse import csr_array

from realsyn_ops.stages.retrieve.candidates import coded, underrating, unseen_share
from realsyn_ops.stages.retrieve.sight import BEST_REACH, Sight, assign, project, score_moments

_MIN_IMAGES = 100
_MIN_CODED = 20_000
"""Fewer sentences are scored exactly."""
_ENERGY = 0.975
"""Share of the images' squared length that the basis holds."""
_CLUSTERED = 64
"""Directions in which sentences are clustered."""
_SENTENCES_PER_CLUSTER = 256
_MAX_CLUSTERS = 4_096
_TRAINED_PER_CLUSTER = 64
_ITERATIONS = 10
_HELD_OUT = 2_000
_SEARCHED = 1_000_000
"""Sentences, others than made the clusters, in which the held-out images' best are looked for: the best of a part lie
farther than the best of all, so this errs to the safe side."""
_PAIRS = 1_000_000_000
"""Of a held-out image and a searched sentence, at most."""
_PROBES_MISS, _CODES_MISS = 0.5, 0.25
"""Shares of what may be missed: by the probes, by the codes; the rest is for chance."""
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
    sentences_per_cluster: int = _SENTENCES_PER_CLUSTER,
) -> Sight:
    """What is frozen. images (m, d), sentences (n, d): unit rows in an order of their own (by key), all or a sample."""
    draw = np.random.default_rng(seed)
    images = images[draw.permutation(len(images))].astype(np.float32)
    held_out, made_of = np.split(images, [min(_HELD_OUT, len(images) // 2)])
    basis = _basis(made_of, sentences)
    k = max(1, min(_MAX_CLUSTERS, len(sentences) // sentences_per_cluster))
    rows = draw.permutation(len(sentences))[: k * _TRAINED_PER_CLUSTER + _SEARCHED]
    n_trained = min(k * _TRAINED_PER_CLUSTER, (len(rows) + 1) // 2)
    trained, searched = (sentences[np.sort(part)].astype(np.float32) for part in np.split(rows, [n_trained]))
    sight = _clustered(basis, trained, k, seed)
    if len(held_out) < _MIN_IMAGES or len(searched) < n_texts:
        return sight
    held_out = held_out[: max(_MIN_IMAGES, _PAIRS // len(searched))]
    _, best = faiss.knn(held_out, searched, n_texts, metric=faiss.METRIC_INNER_PRODUCT)
    may_miss = 1 - target_recall
    sight = replace(sight, reach=_reach(sight, held_out, assign(sight, searched)[best], may_miss * _PROBES_MISS))
    if len(sentences) < _MIN_CODED:
        return sight
    sight = _coded(sight, trained, seed)
    exact = np.einsum("md,mkd->mk", held_out, searched[best])
    by_code = exact - underrating(sight, held_out, searched, best) * unseen_share(sight, held_out)[:, None]
    sight = replace(sight, slope=float(max(1.0, (exact * by_code).sum() / (by_code**2).sum())))
    lost = underrating(sight, held_out, searched, best)
    return replace(sight, margin=_covering(lost, may_miss * _CODES_MISS))


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
        basis, centroids, np.zeros((k, basis.shape[1]), np.float32),
        np.zeros((k, basis.shape[1]), np.float32), np.eye(basis.shape[1], dtype=np.float32),
        np.zeros((0, 16, 2), np.float32), np.inf, 1.0, 0.0,
    )  # fmt: skip
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


def _coded(sight: Sight, sentences: np.ndarray, seed: int) -> Sight:
    e = sight.basis.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((e, e)))[0].astype(np.float32)
    quantizer = faiss.ProductQuantizer(e, e // 2, 4)
    quantizer.cp.seed = seed
    quantizer.train(coded(replace(sight, rotation=rotation), sentences[:: max(1, len(sentences) // 50_000)]))
    centroids = faiss.vector_to_array(quantizer.centroids).reshape(e // 2, 16, 2)
    return replace(sight, rotation=rotation, quantizer=centroids)


def _covering(values: np.ndarray, may_miss: float) -> float:
    """The least bound that a value like these (m, t) exceeds with no more than that chance (conformal); inf if none."""
    ordered = np.sort(values.ravel())
    place = ceil((len(ordered) + 1) * (1 - may_miss))
    return float(ordered[place - 1]) if place <= len(ordered) else float("inf")
