"""Which cells of frozen centroids a record is looked for in.

A record's *home* is its nearest centroid. It is also looked for in the cells whose border is near: two records at
distance D, one on each side of the plane between their homes, cannot both be farther from it than D / 2. Few pairs lie
square to that plane, so less than D / 2 finds all but a few in a million (docs/decisions/0015).
"""

import numpy as np

from realsyn_ops.stages.dedup.vectors import cosines

REACH = 0.3
"""How far from the border a record is looked for beyond it, as a share of the distance of the farthest near-duplicates.
At a half nothing can be missed."""

MAX_CELLS = 64
"""A record's nearest cells beyond which none is looked at, however near their borders are."""

_BLOCK = 1_024
_TOLERANCE = 1e-4
"""More than what a float32 product of unit rows can be off: decisions nearer than that are taken in float64."""


def near_cells(
    vectors: np.ndarray, centroids: np.ndarray, *, min_similarity: float, shortlist: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Each row's home and, behind it and by id, the cells it is near to: cells[limits[i] : limits[i + 1]].

    vectors: (n, d) unit rows; centroids: (k, d) unit rows; shortlist: (n, m) ids, where only those are to be asked. A
    row's cells do not depend on the rows beside it: what float32 leaves open is decided in float64. Ties go to the
    smaller id.
    """
    centroids = np.ascontiguousarray(centroids, np.float32)
    reach = REACH * np.sqrt(max(0.0, 2 - 2 * min_similarity))
    gaps = reach * _distances(centroids)
    counts, cells = [np.zeros(1, np.int64)], [np.empty(0, np.int32)]
    for start in range(0, len(vectors), _BLOCK):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK], np.float32)
        scores = block @ centroids.T
        if shortlist is not None:
            scores = _only(scores, shortlist[start : start + _BLOCK])
        rows, near, scores = _contenders(scores, float(gaps.max(initial=0)))
        some_counts, some = _decide(block, centroids, gaps, rows, near, scores)
        counts.append(some_counts)
        cells.append(some)
    return np.cumsum(np.concatenate(counts)), np.concatenate(cells)


def _distances(centroids: np.ndarray) -> np.ndarray:
    """(k, k) float32 distances of centroids."""
    norms = np.einsum("ij,ij->i", centroids, centroids)
    squares = norms[:, None] + norms - 2 * (centroids @ centroids.T)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares).round(5)


def _only(scores: np.ndarray, ids: np.ndarray) -> np.ndarray:
    kept = np.full_like(scores, -np.inf)
    np.put_along_axis(kept, ids, np.take_along_axis(scores, ids, axis=1), axis=1)
    return kept


def _contenders(scores: np.ndarray, max_gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, cell and score of all cells that may be near, by row and cell."""
    found = np.flatnonzero(scores >= scores.max(axis=1, keepdims=True) - max_gap - 2 * _TOLERANCE)
    rows, near = np.divmod(found, scores.shape[1])
    return rows, near, scores.ravel()[found].astype(np.float64)


def _decide(
    block: np.ndarray, centroids: np.ndarray, gaps: np.ndarray, rows: np.ndarray, near: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number of cells of each row (n,), and the cells, the home first."""

    def exact(entries: np.ndarray) -> np.ndarray:
        return cosines(block, rows[entries], centroids, near[entries]).round(6)

    limits = np.searchsorted(rows, np.arange(len(block)))
    leads = scores >= np.maximum.reduceat(scores, limits)[rows] - 2 * _TOLERANCE
    unsure = np.flatnonzero(leads & (np.add.reduceat(leads, limits) > 1)[rows])
    scores[unsure] = exact(unsure)
    leading = np.flatnonzero(leads)
    leading = leading[np.lexsort((near[leading], -scores[leading], rows[leading]))]
    home = leading[np.searchsorted(rows[leading], np.arange(len(block)))]

    gap = gaps[near[home][rows], near]
    beyond = scores[home][rows] - scores - gap
    unsure = np.flatnonzero(np.abs(beyond) <= 2 * _TOLERANCE)
    beyond[unsure] = exact(home[rows[unsure]]) - exact(unsure) - gap[unsure]
    kept = np.flatnonzero(beyond <= 0)

    crowded = np.bincount(rows[kept], minlength=len(block)) > MAX_CELLS
    if crowded.any():
        many = kept[crowded[rows[kept]]]
        many = many[np.lexsort((near[many], -exact(many), rows[many]))]
        place = np.arange(len(many)) - np.searchsorted(rows[many], rows[many])
        kept = np.sort(np.r_[kept[~crowded[rows[kept]]], many[place < MAX_CELLS]])
    is_other = np.ones(len(rows), bool)
    is_other[home] = False
    kept = kept[np.argsort(2 * rows[kept] + is_other[kept], kind="stable")]
    return np.bincount(rows[kept], minlength=len(block)), near[kept].astype(np.int32)
