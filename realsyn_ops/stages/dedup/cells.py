"""Which cells of frozen centroids a record is looked for in, so that no near-duplicate is missed.

A record's *home* is its nearest centroid. It is also looked for in each cell whose border with home is within half the
distance that near-duplicates can have: two records on the two sides of a plane cannot both be farther from it than half
their own distance. So of any two near-duplicates one has the other's home among its cells, whatever the centroids are.
"""

import numpy as np

from realsyn_ops.stages.dedup.vectors import cosines

_BLOCK = 1_024
_TOLERANCE = 1e-4
"""More than what a float32 product of unit rows can be off: decisions nearer than that are taken in float64."""


def near_cells(vectors: np.ndarray, centroids: np.ndarray, *, min_similarity: float) -> tuple[np.ndarray, np.ndarray]:
    """Each row's home and, behind it and by id, the cells it is near to: cells[limits[i] : limits[i + 1]].

    vectors: (n, d) unit rows; centroids: (k, d) unit rows. A row's cells do not depend on the rows beside it: what
    float32 leaves open is decided in float64. Ties go to the smaller id.
    """
    centroids = np.ascontiguousarray(centroids, np.float32)
    reach = float(np.sqrt(max(0.0, 2 - 2 * min_similarity))) / 2
    gaps = reach * _distances(centroids)
    widest = gaps.max(initial=0)
    counts, cells = [np.zeros(1, np.int64)], [np.empty(0, np.int32)]
    for start in range(0, len(vectors), _BLOCK):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK], np.float32)
        scores = block @ centroids.T
        found = np.flatnonzero(scores >= _least(scores, gaps, widest))
        rows, near = np.divmod(found, scores.shape[1])
        some = _decide(block, centroids, gaps, rows, near, scores.ravel()[found].astype(np.float64))
        counts.append(some[0])
        cells.append(some[1])
    return np.cumsum(np.concatenate(counts)), np.concatenate(cells)


def rows_near(limits: np.ndarray, cells: np.ndarray, cell_range: tuple[int, int]) -> np.ndarray:
    """Positions of the rows with a cell in the range, ascending: what linking the range needs."""
    first, stop = cell_range
    return np.flatnonzero(np.logical_or.reduceat((cells >= first) & (cells < stop), limits[:-1]))


def _distances(centroids: np.ndarray) -> np.ndarray:
    """(k, k) float32 distances of centroids, rounded up."""
    norms = np.einsum("ij,ij->i", centroids, centroids)
    squares = norms[:, None] + norms - 2 * (centroids @ centroids.T)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares).round(4) + np.float32(1e-4)


def _least(scores: np.ndarray, gaps: np.ndarray, widest: float) -> np.ndarray:
    """(n, k) scores below which a cell is not near: by its border with home, where there is no doubt which that is."""
    home = scores.argmax(axis=1)
    top = scores.max(axis=1, keepdims=True)
    leads = np.count_nonzero(scores >= top - 2 * _TOLERANCE, axis=1)
    least = top - gaps[home] - 2 * _TOLERANCE
    least[leads > 1] = top[leads > 1] - widest - 2 * _TOLERANCE
    return least


def _decide(
    block: np.ndarray, centroids: np.ndarray, gaps: np.ndarray, rows: np.ndarray, near: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number of cells of each row (n,), and the cells, the home first."""

    def exact(entries: np.ndarray) -> np.ndarray:
        return cosines(block, rows[entries], centroids, near[entries]).round(6)

    limits = np.searchsorted(rows, np.arange(len(block)))
    leads = scores >= np.maximum.reduceat(scores, limits)[rows] - 2 * _TOLERANCE
    unsure = np.flatnonzero(leads & (np.add.reduceat(leads, limits, dtype=np.int64) > 1)[rows])
    scores[unsure] = exact(unsure)
    leading = np.flatnonzero(leads)
    leading = leading[np.lexsort((near[leading], -scores[leading], rows[leading]))]
    home = leading[np.searchsorted(rows[leading], np.arange(len(block)))]

    gap = gaps[near[home][rows], near]
    beyond = scores[home][rows] - scores - gap
    is_home = np.zeros(len(rows), bool)
    is_home[home] = True
    unsure = np.flatnonzero(~is_home & (np.abs(beyond) <= 2 * _TOLERANCE))
    beyond[unsure] = exact(home[rows[unsure]]) - exact(unsure) - gap[unsure]
    kept = np.flatnonzero(is_home | (beyond <= 0))
    kept = kept[np.argsort(2 * rows[kept] + ~is_home[kept], kind="stable")]
    return np.bincount(rows[kept], minlength=len(block)), near[kept].astype(np.int32)
