"""Links between vectors, cell by cell: a matrix product over few dimensions, then the exact cosine of what is left.

Over a head of some dimensions of a fixed rotation, a.b <= head(a).head(b) + |tail(a)| |tail(b)| (Cauchy-Schwarz): a
product of one dimension more that no pair above the threshold can fall short of, whatever the rotation. It costs a
fifth of the whole product and leaves few pairs to verify.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array

from realsyn_ops.stages.dedup.links import Links, distinct_values, make_links
from realsyn_ops.stages.dedup.vectors import cosines, vector_identity

_HEAD = 63
_SAMPLE = 4_096
_BLOCK = 4_096
_TILE = 2_048
_TAIL_ERROR = 1e-6
_MARGIN = 1e-3
"""More than float32 and the bound's own rounding can lose."""


def cosine_links(
    vectors: np.ndarray,
    limits: np.ndarray,
    cells: np.ndarray,
    is_new: np.ndarray,
    *,
    min_similarity: float,
    cell_range: tuple[int, int] | None = None,
    identities: np.ndarray | None = None,
) -> Links:
    """Links of new rows with all rows whose cosine with them is at least `min_similarity`.

    vectors: (n, d) unit rows, in memory or mapped: read once from front to back, then by candidates. limits, cells: of
    `near_cells`; two rows are compared when the home of one is among the cells of the other. cell_range: only those
    cells, for which rows without a cell there may be left out; the links of ranges, merged, are those of the whole.
    identities: (n,) `vector_identity` of the rows, where it is at hand.
    """
    identities = vector_identity(vectors) if identities is None else identities
    records, is_fresh = distinct_values(identities, is_new)
    heads = _heads(vectors, records)
    least = min_similarity - _MARGIN
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for new_homes, old_homes, new_others, old_others in _by_cell(limits, cells, records, is_fresh, cell_range):
        homes = np.concatenate([new_homes, old_homes])
        for rows, columns, is_same in (
            (new_homes, homes, True),
            (new_others, homes, False),
            (new_homes, old_others, False),
        ):
            for first, second in _candidates(heads, rows, columns, least, is_same=is_same):
                one, other = records[first], records[second]
                similarity = cosines(vectors, one, vectors, other)
                near = similarity >= min_similarity
                found.append((one[near], other[near], similarity[near]))
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return make_links(*(np.concatenate(part) for part in zip(none, *found, strict=True)))


def _heads(vectors: np.ndarray, records: np.ndarray) -> np.ndarray:
    """(k, at most 64) float32 rows whose products are no smaller than those of the vectors, but for `_MARGIN`."""
    width = vectors.shape[1]
    if width <= _HEAD + 1:
        return np.ascontiguousarray(vectors[records], np.float32)
    sample = vectors[records[:: max(1, len(records) // _SAMPLE)]].astype(np.float64)
    basis = np.linalg.eigh(sample.T @ sample)[1][:, -_HEAD:].astype(np.float32)
    heads = np.empty((len(records), _HEAD + 1), np.float32)
    for start in range(0, len(records), _BLOCK):
        rows = vectors[records[start : start + _BLOCK]].astype(np.float32, copy=False)
        head = rows @ basis
        tails = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", head, head)
        heads[start : start + _BLOCK, :-1] = head
        heads[start : start + _BLOCK, -1] = np.sqrt(np.maximum(tails, 0) + _TAIL_ERROR)
    return heads


def _by_cell(
    limits: np.ndarray,
    cells: np.ndarray,
    records: np.ndarray,
    is_fresh: np.ndarray,
    cell_range: tuple[int, int] | None,
) -> Iterator[list[np.ndarray]]:
    """For each cell with something new the indices into `records`: new and old at home there, new and old near it."""
    counts = np.diff(limits)[records]
    starts = np.cumsum(counts) - counts
    entries = np.repeat(limits[:-1][records] - starts, counts) + np.arange(counts.sum())
    rows, wanted = np.repeat(np.arange(len(records)), counts), cells[entries]
    kinds = 2 * np.ones(len(entries), np.int8)
    kinds[starts] = 0
    kinds += ~is_fresh[rows]
    first, stop = cell_range or (0, int(wanted.max(initial=-1)) + 1)
    inside = (wanted >= first) & (wanted < stop)
    rows, wanted, kinds = rows[inside], wanted[inside] - first, kinds[inside]
    by_cell = coo_array((kinds, (rows, wanted)), shape=(len(records), max(1, stop - first))).tocsc()
    for start, end in pairwise(by_cell.indptr.tolist()):
        here, kind = by_cell.indices[start:end], by_cell.data[start:end]
        parts = [here[kind == k] for k in range(4)]
        if len(parts[0]) or len(parts[2]):
            yield parts


def _candidates(
    heads: np.ndarray, rows: np.ndarray, columns: np.ndarray, least: float, *, is_same: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of a row and a column whose heads' product is at least `least`.

    `is_same`: the columns start with the rows; each pair is then given once, and none of a row with itself.
    """
    for top in range(0, len(rows), _TILE):
        left = heads[rows[top : top + _TILE]]
        for begin in range(top if is_same else 0, len(columns), _TILE):
            products = left @ heads[columns[begin : begin + _TILE]].T
            i, j = np.divmod(np.flatnonzero(products >= least), products.shape[1])
            i, j = i + top, j + begin
            if is_same:
                apart = i < j
                i, j = i[apart], j[apart]
            yield rows[i], columns[j]
