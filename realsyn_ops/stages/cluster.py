"""K-means over unit vectors and assignment to its centroids (spherical, seeded).

The paper clusters all sentences into two million groups of about 420; K here follows the number of sentences.

Everything is searched on a lattice: components are rounded to whole numbers, small enough that every partial sum of a
dot product, in whatever order it is added, is a whole number below 2**24, which float32 holds exactly. So neither the
threads nor the library nor the rows that share a call change a bit of what k-means finds; the rounding costs about
1e-4 of a cosine. Sums of rows are whole numbers too.
"""

import math
from collections.abc import Iterator

import numpy as np

_STAGES = ((32, 10), (256, 6))
"""K-means on a growing sample: so many rows a centroid, so many iterations."""
ROWS_PER_CENTROID = _STAGES[-1][0]
"""The fit looks at no more rows a centroid than this."""
_NEIGHBOURS = 32
"""In an iteration a row moves only to one of so many centroids next to its own."""
_EXHAUSTIVE = 1_000
"""Up to so many centroids a row is compared with all of them."""
_CELLS_PER_ROOT = 4
_LIST = 256
"""So many centroids of its cell a row is compared with first; the next steps are each four times as many."""
_STEP = 4
_DOUBT = 0.6
_TOLERANCE = 1e-3
"""Cosines on the lattice closer than this are told apart by exact ones: ten standard deviations of its rounding."""
_BLOCK, _PIECE = 65_536, 4_096


def n_clusters(n_rows: int, *, rows_per_cluster: int) -> int:
    """How many clusters so many rows get: at least one, and no more than rows."""
    return max(1, min(n_rows, round(n_rows / rows_per_cluster)))


def fit_centroids(vectors: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    """(k, d) float32 unit centroids of (n, d) unit rows, n >= k: a function of rows, k and seed alone.

    A first sample is clustered from k of its rows, then a larger one from the centroids of the first. New rows are
    compared with all centroids (as `Quantizer` does), later ones with the neighbours of the centroid they are at. A
    cluster that loses all its rows starts again at the row that fits the largest cluster least.
    """
    if len(vectors) < k:
        raise ValueError(f"{len(vectors)} rows cannot have {k} centroids")
    order = np.random.default_rng(seed).permutation(len(vectors))
    centroids = _unit(np.asarray(vectors[np.sort(order[:k])], np.float64))
    rows, clusters = np.empty((0, vectors.shape[1]), np.int16), np.empty(0, np.int64)
    for per_centroid, n_iterations in _STAGES:
        new = _on_lattice(vectors[np.sort(order[len(rows) : per_centroid * k])])
        clusters = np.concatenate([clusters, Quantizer(centroids).nearest(new)])
        rows = np.concatenate([rows, new])
        for _ in range(n_iterations):
            clusters, scores = _move(rows, clusters, _on_lattice(centroids).astype(np.float32))
            centroids = _means(rows, clusters, scores, centroids)
    return centroids


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
        for start in range(0, len(vectors), _BLOCK):
            block = np.asarray(vectors[start : start + _BLOCK], np.float32)
            rows, found, _ = self._candidates(_on_lattice(block), n_probes)
            exact = np.empty(len(rows), np.float64)
            for piece in range(0, len(rows), _PIECE):
                pairs = slice(piece, piece + _PIECE)
                left, right = block[rows[pairs]], self.centroids[found[pairs]]
                exact[pairs] = np.einsum("nd,nd->n", left.astype(np.float64), right.astype(np.float64))
            best = _best(rows, found, exact.round(6), n_probes)
            ids[start : start + _BLOCK] = found[best]
            similarities[start : start + _BLOCK] = exact[best].round(6)
        return ids, similarities

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The nearest centroid of each row of the lattice, by the lattice alone."""
        ids = np.empty(len(points), np.int64)
        for start in range(0, len(points), _BLOCK):
            rows, found, scores = self._candidates(points[start : start + _BLOCK], 1)
            ids[start : start + _BLOCK] = found[_best(rows, found, scores, 1)[:, 0]]
        return ids

    def _candidates(self, points: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, centroid and score of all that may be among a row's n best, rows in no order."""
        points = points.astype(np.float32)
        cells, near = np.zeros(len(points), np.int64), np.zeros(len(points))
        if len(self._coarse):
            scores = points @ self._coarse.T
            cells, near = scores.argmax(axis=1), scores.max(axis=1) / _scale(points.shape[1]) ** 2
        tolerance = _TOLERANCE * _scale(points.shape[1]) ** 2
        best = np.full((len(points), n), -np.inf, np.float32)
        doubtful = np.arange(len(points))
        parts = []
        for step, lists in enumerate(self._lists):
            if step:
                bound, own = self._bounds[step - 1][cells[doubtful]], near[doubtful]
                missing = best[doubtful, 0] / _scale(points.shape[1]) ** 2 - bound * own
                doubtful = doubtful[missing < _DOUBT * np.sqrt(np.maximum((1 - bound**2) * (1 - own**2), 0))]
            for cell, members in _groups(cells[doubtful], len(lists)):
                rows = doubtful[members]
                scores = points[rows] @ self._points[lists[cell]].T
                best[rows] = _top(np.concatenate([best[rows], scores], axis=1), n)
                row, column = np.nonzero(scores >= best[rows, :1] - tolerance)
                parts.append((rows[row], lists[cell][column], scores[row, column]))
        rows, ids, scores = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        kept = scores >= best[rows, 0] - tolerance
        return rows[kept], ids[kept], scores[kept]


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
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK], np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", block, block))
        factors = np.divide(_scale(vectors.shape[1]), lengths, out=np.zeros_like(lengths), where=lengths > 0)
        points[start : start + _BLOCK] = np.rint(block * factors[:, None])
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


def _top(scores: np.ndarray, n: int) -> np.ndarray:
    """The n highest of each row, the n-th first."""
    if n == 1:
        return scores.max(axis=1, keepdims=True)
    return np.partition(scores, scores.shape[1] - n, axis=1)[:, -n:]


def _best(rows: np.ndarray, ids: np.ndarray, scores: np.ndarray, n: int) -> np.ndarray:
    """(n rows, n): where each row's n best candidates stand, ties by id. Every row has n."""
    order = np.lexsort((ids, -scores, rows))
    firsts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    return order[firsts[:, None] + np.arange(n)]


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
        sums[cluster] += rows[members].sum(axis=0, dtype=np.int32)
    sizes = np.bincount(clusters, minlength=k)
    empty = np.flatnonzero(sizes == 0)
    for lost, largest in zip(empty, np.argsort(-sizes, kind="stable"), strict=False):
        members = np.flatnonzero(clusters == largest)
        sums[lost] = rows[members[scores[members].argmin()]]
    vanished = ~sums.any(axis=1)
    sums[vanished] = centroids[vanished]
    return _unit(sums)
