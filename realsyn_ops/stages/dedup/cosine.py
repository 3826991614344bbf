"""Links between vectors, cell by cell: a matrix product over few dimensions, then the exact cosine of what is left.

The product is of heads (`realsyn_ops/heads.py`): a part of the whole one's cost, and few pairs left to verify.
"""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from realsyn_ops.heads import head_basis, vector_heads
from realsyn_ops.stages.dedup.links import Links, distinct_values, make_links
from realsyn_ops.stages.dedup.vectors import cosines, vector_identity

_TILE = 2_048
_MARGIN = 1e-3
"""More than float32 and the bound's own rounding can lose."""
_HALF_MARGIN = 2.5e-3
"""More than heads kept as float16 can lose: each factor half of 2**-10."""
_PER_CELL = 128
"""New rows with all of which a row is compared for what it costs to find it in one more cell."""
_VERIFIED = 1 << 14
"""So many pairs are verified at a time: what they need of the vectors is read once."""


class Vectors(Protocol):
    """Unit rows read where asked for: an array, a memory map, a table."""

    def __getitem__(self, positions: np.ndarray, /) -> np.ndarray: ...


def cosine_links(
    vectors: Vectors,
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
    one basis, which may be kept as float16: with both at hand only candidates are read of the vectors.
    """
    if identities is None or heads is None:
        rows = vectors if isinstance(vectors, np.ndarray) else vectors[np.arange(len(is_new))]
        identities = vector_identity(rows) if identities is None else identities
        heads = vector_heads(rows, head_basis(rows)) if heads is None else heads
    records, is_fresh = distinct_values(identities, is_new)
    fresh = np.zeros(len(is_new), bool)
    fresh[records] = is_fresh
    least = min_similarity - (_HALF_MARGIN if heads.dtype == np.float16 else _MARGIN)
    wide = _wide(limits, records, fresh)
    new_homes = _new_homes(limits, cells, fresh, cell_range)
    limits, cells = _narrowed(limits, cells, wide)
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    found, waiting, n_waiting = [none], [none[:2]], 0
    by_cell = _by_cell(limits, cells, records, fresh, cell_range)
    far_and_wide = _candidates(heads, wide, new_homes, least, is_same=False)
    for first, second in chain(far_and_wide, _compared(heads, by_cell, least)):
        waiting.append((first, second))
        n_waiting += len(first)
        if n_waiting >= _VERIFIED:
            found.append(_verified(vectors, waiting, min_similarity))
            waiting, n_waiting = [none[:2]], 0
    found.append(_verified(vectors, waiting, min_similarity))
    return make_links(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _wide(limits: np.ndarray, records: np.ndarray, is_new: np.ndarray) -> np.ndarray:
    """Old records near so many cells that it costs less to compare them with everything new: a hundredth of the
    records, far from all centroids, has most of the cells."""
    old = records[~is_new[records]]
    return old[_PER_CELL * (limits[old + 1] - limits[old]) > is_new.sum()]


def _new_homes(
    limits: np.ndarray, cells: np.ndarray, is_new: np.ndarray, cell_range: tuple[int, int] | None
) -> np.ndarray:
    """New records that are at home in the range."""
    new = np.flatnonzero(is_new)
    home = cells[limits[new]]
    first, stop = cell_range or (0, int(cells.max(initial=-1)) + 1)
    return new[(home >= first) & (home < stop)]


def _narrowed(limits: np.ndarray, cells: np.ndarray, wide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limits and cells, of the wide records home alone."""
    counts = np.diff(limits)
    is_wide = np.zeros(len(counts), bool)
    is_wide[wide] = True
    kept = np.repeat(~is_wide, counts)
    kept[limits[wide]] = True
    counts[wide] = 1
    return np.r_[0, np.cumsum(counts)], cells[kept]


def _compared(
    heads: np.ndarray, by_cell: Iterator[list[np.ndarray]], least: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs that may be near-duplicates, of each cell the new at home there with all, the others with those at home."""
    for new_homes, old_homes, new_others, old_others in by_cell:
        homes = np.concatenate([new_homes, old_homes])
        yield from _candidates(heads, new_homes, homes, least, is_same=True)
        yield from _candidates(heads, new_others, homes, least, is_same=False)
        yield from _candidates(heads, new_homes, old_others, least, is_same=False)


def _verified(
    vectors: Vectors, pairs: list[tuple[np.ndarray, np.ndarray]], min_similarity: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs that are near-duplicates, with their similarity."""
    first, second = (np.concatenate(part) for part in zip(*pairs, strict=True))
    needed = np.unique(np.concatenate([first, second]))
    rows = vectors[needed]
    similarity = cosines(rows, np.searchsorted(needed, first), rows, np.searchsorted(needed, second))
    near = similarity >= min_similarity
    return first[near], second[near], similarity[near]


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
        left = _at(heads, rows[top : top + _TILE])
        for begin in range(top if is_same else 0, len(columns), _TILE):
            products = left @ _at(heads, columns[begin : begin + _TILE]).T
            i, j = np.divmod(np.flatnonzero(products >= least), products.shape[1])
            i, j = i + top, j + begin
            if is_same:
                apart = i < j
                i, j = i[apart], j[apart]
            yield rows[i], columns[j]


def _at(heads: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(k, h + 1) float32 heads of the rows (k,)."""
    return heads.take(rows, axis=0, mode="clip").astype(np.float32, copy=False)
