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

_STAGES = ((16, 8, 2), (64, 4, 2), (256, 6, 3))
"""K-means on a growing sample: so many rows a centroid, so many iterations, a full search in every so-manieth."""
ROWS_PER_CENTROID = _STAGES[-1][0]
"""The fit looks at no more rows a centroid than this."""
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
_BLOCK, _PIECE, _PAIRS = 65_536, 4_096, 512
"""Rows at a time: of a search, of a product of matrices (a sum of more rows may not be exact), of exact cosines."""


def n_clusters(n_rows: int, *, rows_per_cluster: int) -> int:
    """How many clusters so many rows get: at least one, and no more than rows."""
    return max(1, min(n_rows, round(n_rows / rows_per_cluster)))


def fit_centroids(vectors: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    """(k, d) float32 unit centroids of (n, d) unit rows, n >= k: a function of rows, k and seed alone.

    A first sample is clustered from k of its rows, then larger ones from the centroids of the one before. A cluster
    that loses all its rows starts again at the row that fits the largest cluster least, the next one in the second
    largest, and so on.
    """
    if len(vectors) < k:
        raise ValueError(f"{len(vectors)} rows cannot have {k} centroids")
    order = np.random.default_rng(seed).permutation(len(vectors))
    centroids = _unit(np.asarray(vectors[np.sort(order[:k])], np.float64))
    sample = np.empty((min(len(vectors), ROWS_PER_CENTROID * k), vectors.shape[1]), np.int16)
    rows, clusters = sample[:0], np.empty(0, np.int64)
    for per_centroid, n_iterations, full_every in _STAGES:
        new = np.sort(order[len(rows) : per_centroid * k])
        for start in range(0, len(new), _PIECE):
            piece = _on_lattice(vectors[new[start : start + _PIECE]])
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
            rows, found = self._candidates(_on_lattice(block), n_probes)
            exact = np.empty(len(rows), np.float64)
            for first in range(0, len(rows), _PAIRS):
                pairs = slice(first, first + _PAIRS)
                exact[pairs] = np.einsum(
                    "nd,nd->n", block[rows[pairs]], self.centroids[found[pairs]], dtype=np.float64
                ).round(6)
            order = np.lexsort((found, -exact, rows))
            best = order[np.searchsorted(rows[order], np.arange(len(block)))[:, None] + np.arange(n_probes)]
            ids[start : start + _BLOCK] = found[best]
            similarities[start : start + _BLOCK] = exact[best]
        return ids, similarities

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest centroid of each row of the lattice and its score, by the lattice alone; ties to the smaller."""
        ids = np.zeros(len(points), np.int64)
        best = np.full((len(points), 1), -np.inf, np.float32)
        for start in range(0, len(points), _BLOCK):
            block = slice(start, start + _BLOCK)
            for rows, listed, scores in self._compare(points[block], best[block]):
                column = scores.argmax(axis=1)
                found, score = listed[column], scores[np.arange(len(rows)), column]
                before = best[block][rows, 0]
                better = (score > before) | ((score == before) & (found < ids[block][rows]))
                ids[block][rows[better]] = found[better]
                best[block][rows[better], 0] = score[better]
        return ids, best[:, 0]

    def _candidates(self, points: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of row and centroid: all that may be among a row's n best."""
        tolerance = _TOLERANCE * _scale(points.shape[1]) ** 2
        best = np.full((len(points), n), -np.inf, np.float32)
        parts = []
        for rows, listed, scores in self._compare(points, best):
            best[rows] = _highest(best[rows], scores)
            row, column = np.nonzero(scores >= best[rows, :1] - tolerance)
            parts.append((rows[row], listed[column], scores[row, column]))
        rows, ids, scores = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        kept = scores >= best[rows, 0] - tolerance
        return rows[kept], ids[kept]

    def _compare(self, points: np.ndarray, best: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Rows, the centroids they are compared with, and their scores, until no row is in doubt.

        The caller keeps the scores of each row's best in `best`, the worst of them first.
        """
        points = points.astype(np.float32)
        square = _scale(points.shape[1]) ** 2
        cells, near = np.zeros(len(points), np.int64), np.zeros(len(points))
        if len(self._coarse):
            to_cells = points @ self._coarse.T
            cells, near = to_cells.argmax(axis=1), to_cells.max(axis=1) / square
        doubtful = np.arange(len(points))
        for step, lists in enumerate(self._lists):
            if step:
                bound, own = self._bounds[step - 1][cells[doubtful]], near[doubtful]
                missing = best[doubtful, 0] / square - bound * own
                doubtful = doubtful[missing < _DOUBT * np.sqrt(np.maximum((1 - bound**2) * (1 - own**2), 0))]
            for cell, members in _groups(cells[doubtful], len(lists)):
                listed = lists[cell]
                yield doubtful[members], listed, points[doubtful[members]] @ self._points[listed].T


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


def _highest(best: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Each row's highest of both, as many as `best` has columns, the lowest of them first."""
    n = best.shape[1]
    if n == 1:
        return np.maximum(best, scores.max(axis=1, keepdims=True))
    both = np.concatenate([best, scores], axis=1)
    return np.partition(both, both.shape[1] - n, axis=1)[:, -n:]


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
