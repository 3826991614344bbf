"""K-means over unit vectors and assignment to its centroids (spherical, seeded).

The paper clusters all sentences into two million groups of about 420; K here follows the number of sentences.

Everything is searched on a lattice: components are rounded to whole numbers, small enough that every partial sum of a
dot product, in whatever order it is added, is a whole number below 2**24, which float32 holds exactly. So neither the
threads nor the library nor the rows that share a call change a bit of what k-means finds; the rounding costs about
1e-4 of a cosine. Sums of rows are whole numbers too.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import faiss
import numpy as np

_STAGES = ((16, 8, 2), (64, 4, 2), (256, 6, 3))
"""K-means on a growing sample: so many rows a centroid, so many iterations, a full search in every so-manieth."""
_FITTED, _LEAST_FITTED = 1_000_000, 32
"""Rows that a fit looks at, at most: so many, or so many a centroid where that is more."""
_NEIGHBOURS = 32
"""In the other iterations a row moves only to one of so many centroids next to its own."""
_OVERSHOOT = 1.0
"""A centroid moves past its rows' mean by so many times the way to it: as good in half the iterations."""
_EXHAUSTIVE = 1_000
"""Up to so many centroids a row is compared with all of them."""
_CELLS_PER_ROOT = 4
_LIST, _STEP = 256, 4
"""So many centroids of its cell a row is compared with first, then with so many times as many."""
_DOUBT = 0.6
_TOLERANCE = 1e-3
"""Cosines on the lattice closer than this are told apart by exact ones: ten standard deviations of its rounding."""
_SPARE = 8
"""Centroids looked at beyond those wanted, so that what is that close can be settled."""
_BLOCK, _PIECE, _PAIRS = 65_536, 4_096, 512
"""Rows at a time: of a search, of a product of matrices (a sum of more rows may not be exact), of exact cosines."""


class Vectors(Protocol):
    """(n, d) unit rows: an array, or a table that gives those at ascending positions."""

    def __len__(self) -> int: ...
    def __getitem__(self, positions: np.ndarray, /) -> np.ndarray: ...


def n_clusters(n_rows: int, *, rows_per_cluster: int) -> int:
    """How many clusters so many rows get: at least one, and no more than rows."""
    return max(1, min(n_rows, round(n_rows / rows_per_cluster)))


def n_fitted(k: int) -> int:
    """How many rows, drawn from all, a fit of k centroids looks at, at most."""
    return min(_STAGES[-1][0] * k, max(_FITTED, _LEAST_FITTED * k))


def fit_centroids(vectors: Vectors, *, k: int, seed: int) -> np.ndarray:
    """(k, d) float32 unit centroids of (n, d) unit rows, n >= k: a function of rows, k and seed alone.

    Rows are read some thousand at a time, and held as whole numbers of two bytes.

    A first sample is clustered from k of its rows, then larger ones from the centroids of the one before. A cluster
    that loses all its rows starts again at the row that fits the largest cluster least, the next one in the second
    largest, and so on.
    """
    if len(vectors) < k:
        raise ValueError(f"{len(vectors)} rows cannot have {k} centroids")
    order = np.random.default_rng(seed).permutation(len(vectors))
    centroids = _unit(np.asarray(vectors[np.sort(order[:k])], np.float64))
    sample = np.empty((min(len(vectors), _STAGES[-1][0] * k), centroids.shape[1]), np.int16)
    rows, clusters = sample[:0], np.empty(0, np.int64)
    for per_centroid, n_iterations, full_every in _STAGES:
        new = np.sort(order[len(rows) : per_centroid * k])
        for start in range(0, len(new), _BLOCK):
            piece = _on_lattice(vectors[new[start : start + _BLOCK]])
            sample[len(rows) + start : len(rows) + start + len(piece)] = piece
        rows = sample[: len(rows) + len(new)]
        for iteration in range(n_iterations):
            if iteration % full_every == 0:
                clusters, scores = Quantizer(centroids).nearest(rows)
            else:
                clusters, scores = _move(rows, clusters, _on_lattice(centroids).astype(np.float32))
            means = _means(rows, clusters, scores, centroids)
            kept = np.bincount(clusters, minlength=k)[:, None] > 0
            centroids = _unit(means + kept * _OVERSHOOT * (means - centroids))
    return means


class Quantizer:
    """The search for the nearest of (k, d) unit centroids; make it once for many calls.

    Above a thousand centroids it goes by cells: coarse centres, found by k-means over the centroids, each with the list
    of all centroids, those next to it first. A row goes down the list of its nearest coarse centre until no centroid
    further down is to be expected nearer than what it has: such a one is at least as far from the coarse centre as the
    list has come, so it would have to agree with the row in the directions that are left, by a cosine of `_DOUBT` or
    more. About one row in 300 misses its nearest centroid for the next best one.
    """

    def __init__(self, centroids: np.ndarray) -> None:
        self.centroids = np.ascontiguousarray(centroids, np.float32)
        k = len(centroids)
        self._points = _on_lattice(centroids).astype(np.float32)
        self._coarse = self._points[:0]
        self._block = _BLOCK if k > _EXHAUSTIVE else _PIECE
        self._lists = [np.arange(k)[None]]
        self._bounds: list[np.ndarray] = []
        if k > _EXHAUSTIVE:
            coarse = fit_centroids(self.centroids, k=round(_CELLS_PER_ROOT * math.sqrt(k)), seed=0)
            self._coarse = _on_lattice(coarse).astype(np.float32)
            scores = self._coarse @ self._points.T
            ranked = np.argsort(-scores, axis=1, kind="stable")
            ends = [_LIST * _STEP**i for i in range(k) if _LIST * _STEP**i < k]
            self._lists = [np.sort(part, axis=1) for part in np.split(ranked, ends, axis=1)]
            cosines = scores / _scale(centroids.shape[1]) ** 2
            self._bounds = [np.take_along_axis(cosines, ranked[:, end - 1 : end], axis=1)[:, 0] for end in ends]

    def assign(self, vectors: np.ndarray, *, n_probes: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The nearest centroids of each row, best first: ids (n, n_probes) int64, similarities (n, n_probes) float32.

        What the lattice cannot tell apart is scored again one by one in float64, so the answer does not depend on which
        rows share a call; ties go to the smaller id.
        """
        n_probes = min(n_probes, len(self.centroids))
        ids = np.empty((len(vectors), n_probes), np.int64)
        similarities = np.empty((len(vectors), n_probes), np.float32)
        tolerance = _TOLERANCE * _scale(self.centroids.shape[1]) ** 2
        for start in range(0, len(vectors), self._block):
            block = np.asarray(vectors[start : start + self._block], np.float32)
            near, scores = self._search(_on_lattice(block).astype(np.float32), n_probes, _SPARE)
            rows, columns = np.nonzero(scores >= scores[:, n_probes - 1 : n_probes] - tolerance)
            found = near[rows, columns]
            exact = np.empty(len(rows), np.float64)
            for first in range(0, len(rows), _PAIRS):
                pairs = slice(first, first + _PAIRS)
                exact[pairs] = np.einsum(
                    "nd,nd->n", block[rows[pairs]], self.centroids[found[pairs]], dtype=np.float64
                ).round(6)
            order = np.lexsort((found, -exact, rows))
            best = order[np.searchsorted(rows, np.arange(len(block)))[:, None] + np.arange(n_probes)]
            ids[start : start + self._block] = found[best]
            similarities[start : start + self._block] = exact[best]
        return ids, similarities

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest centroid of each row of the lattice and its score, by the lattice alone."""
        ids, scores = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
        for start in range(0, len(points), self._block):
            block = slice(start, start + self._block)
            near, best = self._search(points[block].astype(np.float32), 1, 0)
            ids[block], scores[block] = near[:, 0], best[:, 0]
        return ids, scores

    def _search(self, points: np.ndarray, wanted: int, spare: int) -> tuple[np.ndarray, np.ndarray]:
        """The centroids of each row's highest scores, those wanted and some to spare, best first; and the scores."""
        n = min(wanted + spare, len(self.centroids))
        ids, scores = np.zeros((len(points), n), np.int64), np.full((len(points), n), -np.inf, np.float32)
        square = _scale(points.shape[1]) ** 2
        cells, near = np.zeros(len(points), np.int64), np.zeros(len(points))
        if len(self._coarse):
            to_cells, found = faiss.knn(points, self._coarse, 1, metric=faiss.METRIC_INNER_PRODUCT)
            cells, near = found[:, 0], to_cells[:, 0].astype(np.float64) / square
        doubtful = np.arange(len(points))
        for step, lists in enumerate(self._lists):
            if step:
                bound, own = self._bounds[step - 1][cells[doubtful]], near[doubtful]
                missing = scores[doubtful, wanted - 1] / square - bound * own
                doubtful = doubtful[missing < _DOUBT * np.sqrt(np.maximum((1 - bound**2) * (1 - own**2), 0))]
            for cell, members in _groups(cells[doubtful], len(lists)):
                rows, listed = doubtful[members], lists[cell]
                more, columns = faiss.knn(
                    points[rows], self._points[listed], min(n, len(listed)), metric=faiss.METRIC_INNER_PRODUCT
                )
                both, both_ids = np.hstack([scores[rows], more]), np.hstack([ids[rows], listed[columns]])
                best = np.argsort(-both, axis=1, kind="stable")[:, :n]
                scores[rows] = np.take_along_axis(both, best, axis=1)
                ids[rows] = np.take_along_axis(both_ids, best, axis=1)
        return ids, scores


def assign(vectors: np.ndarray, centroids: np.ndarray, *, n_probes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """`Quantizer.assign` for a single call."""
    return Quantizer(centroids).assign(vectors, n_probes=n_probes)


def imbalance(sizes: np.ndarray) -> float:
    """faiss' imbalance factor of cluster sizes: 1 when all are equal, k when one holds everything."""
    total = sizes.sum()
    return float(len(sizes) * (sizes.astype(np.float64) ** 2).sum() / total**2) if total else 1.0


def _scale(dim: int) -> int:
    """The length of a unit vector on the lattice: rounded, it stays below 2**12, and a product below 2**24."""
    return 4_095 - math.ceil(math.sqrt(dim) / 2)


def _on_lattice(vectors: np.ndarray) -> np.ndarray:
    """(n, d) int16: the rows' directions, rounded."""
    points = np.empty(vectors.shape, np.int16)
    for start in range(0, len(vectors), _PAIRS):
        block = np.asarray(vectors[start : start + _PAIRS], np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", block, block))
        factors = np.divide(_scale(vectors.shape[1]), lengths, out=np.zeros_like(lengths), where=lengths > 0)
        points[start : start + _PAIRS] = np.rint(block * factors[:, None])
    return points


def _unit(sums: np.ndarray) -> np.ndarray:
    return (sums / np.sqrt(np.einsum("nd,nd->n", sums, sums))[:, None]).astype(np.float32)


def _groups(labels: np.ndarray, n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Each label that occurs with the positions it occurs at, at most `_PIECE` at a time."""
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=n)).tolist()
    for label, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
        for piece in range(start, stop, _PIECE):
            yield label, order[piece : min(stop, piece + _PIECE)]


def _move(rows: np.ndarray, clusters: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centroid of each row among the neighbours of the one it is at, and its score."""
    n = min(_NEIGHBOURS, len(points))
    moved, scores = np.empty_like(clusters), np.empty(len(rows), np.float32)
    neighbours = np.empty((len(points), n), np.int64)
    for start in range(0, len(points), _PIECE):
        near = -(points[start : start + _PIECE] @ points.T)
        neighbours[start : start + _PIECE] = np.sort(np.argpartition(near, n - 1, axis=1)[:, :n], axis=1)
    for cluster, members in _groups(clusters, len(points)):
        found = rows[members].astype(np.float32) @ points[neighbours[cluster]].T
        best = found.argmax(axis=1)
        moved[members] = neighbours[cluster][best]
        scores[members] = found[np.arange(len(members)), best]
    return moved, scores


def _means(rows: np.ndarray, clusters: np.ndarray, scores: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The directions of the clusters' sums; an empty cluster takes a row of one of the largest."""
    k = len(centroids)
    sums = np.zeros((k, rows.shape[1]), np.float64)
    for cluster, members in _groups(clusters, k):
        sums[cluster] += rows[members].astype(np.float32).sum(axis=0)
    sizes = np.bincount(clusters, minlength=k)
    largest = np.argsort(-sizes, kind="stable")[: (sizes > 1).sum()]
    for i, lost in enumerate(np.flatnonzero(sizes == 0)):
        members = np.flatnonzero(clusters == largest[i % len(largest)])
        worst = members[np.argsort(scores[members], kind="stable")]
        sums[lost] = rows[worst[i // len(largest) % len(worst)]]
    vanished = ~sums.any(axis=1)
    sums[vanished] = centroids[vanished]
    return _unit(sums)
