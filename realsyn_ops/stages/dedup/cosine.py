"""Links between vectors, cell by cell: a matrix product over few dimensions, then the exact cosine of what is left.

Over the head of a rotated vector, a.b <= head(a).head(b) + |tail(a)| |tail(b)| (Cauchy-Schwarz): a product of one
dimension more that no pair above the threshold can fall short of, whatever the rotation. It costs a quarter of the
whole product and leaves few pairs to verify.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from realsyn_ops.stages.dedup.links import Links, distinct_values, make_links
from realsyn_ops.stages.dedup.vectors import cosines, vector_identity

_HEAD = 95
_SAMPLE = 4_096
_BLOCK = 4_096
_TILE = 2_048
_TAIL_ERROR = 1e-6
_MARGIN = 1e-3
"""More than float32 and the bound's own rounding can lose."""


def head_basis(vectors: np.ndarray) -> np.ndarray:
    """(d, h) float32 main directions of some rows, such as frozen centroids: whoever keeps heads keeps it with them."""
    rows = vectors[:: max(1, len(vectors) // _SAMPLE)].astype(np.float64)
    return np.linalg.eigh(rows.T @ rows)[1][:, -_HEAD:].astype(np.float32)


def vector_heads(vectors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(n, h + 1) float32 rows whose products are no smaller than those of the vectors, but for rounding."""
    heads = np.empty((len(vectors), basis.shape[1] + 1), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        rows = vectors[start : start + _BLOCK].astype(np.float32, copy=False)
        head = rows @ basis
        tails = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", head, head)
        heads[start : start + _BLOCK, :-1] = head
        heads[start : start + _BLOCK, -1] = np.sqrt(np.maximum(tails, 0) + _TAIL_ERROR)
    return heads


def cosine_links(
    vectors: np.ndarray,
    limits: np.ndarray,
    cells: np.ndarray,
    is_new: np.ndarray,
    *,
    min_similarity: float,
    cell_range: tuple[int, int] | None = None,
    identities: np.ndarray | None = None,
    heads: np.ndarray | None = None,
) -> Links:
    """Links of new rows with all rows whose cosine with them is at least `min_similarity`.

    vectors: (n, d) unit rows. limits, cells: of `near_cells`; two rows are compared when the home of one is among the
    cells of the other. cell_range: only those cells, for which rows without a cell there may be left out; the links of
    ranges, merged, are those of the whole. identities: `vector_identity` of the rows, heads: their `vector_heads` by
    one basis, where they are at hand: then only candidates are read of the vectors, which may be a memory map.
    """
    identities = vector_identity(vectors) if identities is None else identities
    heads = vector_heads(vectors, head_basis(vectors)) if heads is None else heads
    records, is_fresh = distinct_values(identities, is_new)
    fresh = np.zeros(len(vectors), bool)
    fresh[records] = is_fresh
    least = min_similarity - _MARGIN
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for new_homes, old_homes, new_others, old_others in _by_cell(limits, cells, records, fresh, cell_range):
        homes = np.concatenate([new_homes, old_homes])
        for rows, columns, is_same in (
            (new_homes, homes, True),
            (new_others, homes, False),
            (new_homes, old_others, False),
        ):
            for first, second in _candidates(heads, rows, columns, least, is_same=is_same):
                similarity = cosines(vectors, first, vectors, second)
                near = similarity >= min_similarity
                found.append((first[near], second[near], similarity[near]))
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return make_links(*(np.concatenate(part) for part in zip(none, *found, strict=True)))


def _by_cell(
    limits: np.ndarray,
    cells: np.ndarray,
    records: np.ndarray,
    is_new: np.ndarray,
    cell_range: tuple[int, int] | None,
) -> Iterator[list[np.ndarray]]:
    """For each cell with something new the records that are new and old at home there, new and old near it."""
    first, stop = cell_range or (0, int(cells.max(initial=-1)) + 1)
    kinds = np.full(len(cells), 2, np.int8)
    kinds[limits[:-1]] = 0
    kinds += np.repeat(~is_new, np.diff(limits))
    has_new_home, has_new = np.zeros(stop + 1, bool), np.zeros(stop + 1, bool)
    places = np.minimum(cells, stop)
    has_new_home[places[kinds == 0]] = True
    has_new[places[kinds & 1 == 0]] = True
    useful = np.stack([has_new, has_new, has_new, has_new_home])
    useful[:, [*range(first), stop]] = False
    wanted = useful[kinds, places]
    if len(records) < len(is_new):
        is_record = np.zeros(len(is_new), bool)
        is_record[records] = True
        wanted &= np.repeat(is_record, np.diff(limits))
    indptr = np.r_[0, np.cumsum(wanted)][limits]
    by_row = csr_array((kinds[wanted], places[wanted], indptr), shape=(len(is_new), stop + 1))
    by_cell = by_row.tocsc()
    for start, end in pairwise(by_cell.indptr.tolist()):
        if start < end:
            here, kind = by_cell.indices[start:end], by_cell.data[start:end]
            yield [here[kind == k] for k in range(4)]


def _candidates(
    heads: np.ndarray, rows: np.ndarray, columns: np.ndarray, least: float, *, is_same: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of a row and a column whose heads' product is at least `least`.

    `is_same`: the columns start with the rows; each pair is then given once, and none of a row with itself.
    """
    for top in range(0, len(rows), _TILE):
        left = heads.take(rows[top : top + _TILE], axis=0, mode="clip")
        for begin in range(top if is_same else 0, len(columns), _TILE):
            right = heads.take(columns[begin : begin + _TILE], axis=0, mode="clip")
            products = left @ right.T
            i, j = np.divmod(np.flatnonzero(products >= least), products.shape[1])
            i, j = i + top, j + begin
            if is_same:
                apart = i < j
                i, j = i[apart], j[apart]
            yield rows[i], columns[j]
