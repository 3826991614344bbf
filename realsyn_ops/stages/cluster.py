"""K-means over unit vectors and assignment to its centroids (faiss, spherical, seeded).

The paper clusters all sentences into two million groups of about 420; K here follows the number of sentences.
"""

import faiss
import numpy as np

_ITERATIONS = 20
_SAMPLE_PER_CENTROID = 256
_BLOCK = 4_096
_SPARE = 8
"""Centroids looked at beyond those wanted, so that ties can be settled."""


def n_clusters(n_rows: int, *, rows_per_cluster: int) -> int:
    """How many clusters so many rows get: at least one, and no more than rows."""
    return max(1, min(n_rows, round(n_rows / rows_per_cluster)))


def fit_centroids(vectors: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    """(k, d) float32 unit centroids of (n, d) float32 unit rows, n >= k. Deterministic on one thread."""
    kmeans = faiss.Kmeans(
        vectors.shape[1], k, niter=_ITERATIONS, seed=seed, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=_SAMPLE_PER_CENTROID,
    )  # fmt: skip
    kmeans.train(np.ascontiguousarray(vectors, np.float32))
    return np.asarray(kmeans.centroids)


def assign(vectors: np.ndarray, centroids: np.ndarray, *, n_probes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centroids of each row, best first: ids (n, n_probes) int64, similarities (n, n_probes) float32.

    Candidates are scored again one by one in float64, so the answer does not depend on which rows share a call; ties go
    to the smaller id.
    """
    n_probes = min(n_probes, len(centroids))
    ids = np.empty((len(vectors), n_probes), np.int64)
    similarities = np.empty((len(vectors), n_probes), np.float32)
    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids, np.float32))
    for start in range(0, len(vectors), _BLOCK):
        rows = np.ascontiguousarray(vectors[start : start + _BLOCK], np.float32)
        _, near = index.search(rows, min(n_probes + _SPARE, len(centroids)))
        scores = np.einsum("nd,nkd->nk", rows.astype(np.float64), centroids[near].astype(np.float64)).round(6)
        best = np.lexsort((near, -scores), axis=1)[:, :n_probes]
        ids[start : start + _BLOCK] = np.take_along_axis(near, best, axis=1)
        similarities[start : start + _BLOCK] = np.take_along_axis(scores, best, axis=1)
    return ids, similarities


def imbalance(sizes: np.ndarray) -> float:
    """faiss' imbalance factor of cluster sizes: 1 when all are equal, k when one holds everything."""
    total = sizes.sum()
    return float(len(sizes) * (sizes.astype(np.float64) ** 2).sum() / total**2) if total else 1.0
