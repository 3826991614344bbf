"""The n-th lowest draws of clusters, in bounded memory: ranges of clusters, of each only the rows that may be it."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from realsyn_ops.stages.sample.bounds import Bounds, is_within
from realsyn_ops.stages.sample.draws import Blocks, Rows
from realsyn_ops.stages.sample.order import order_statistics

_SPARE_DEVIATIONS, _SPARE_ROWS = 5, 10
ROW_BYTES = 64
"""What a row that may be it costs: its cluster and words, gathered and then joined, and the sorted copy."""


class Nth(NamedTuple):
    """Of each cluster (k,) the words of a draw; zeros where the cluster has no such rank."""

    high: np.ndarray
    low: np.ndarray


def leading(high: np.ndarray) -> np.ndarray:
    """The first 32 bits of draws: enough to tell nearly all apart, and a table of half the size to look them up in."""
    return (high >> np.uint64(32)).astype(np.uint32)


def nth_draws(blocks: Blocks, bounds: Bounds, sizes: np.ndarray, ranks: list[int], *, rows_at_once: int) -> list[Nth]:
    """For each rank (0: the lowest) the draws of that rank in clusters of these sizes, among pairs within the bounds.

    A cluster of m rows has its r lowest draws below r/m of all numbers and some deviations more, if draws are even, so
    only those rows are gathered; a cluster where that was not enough is gathered whole. One range of clusters after
    another, of about ``rows_at_once`` rows; a single cluster may pass that. All pairs in one cluster are counted
    instead.
    """
    found = [Nth(np.zeros(len(sizes), np.uint64), np.zeros(len(sizes), np.uint64)) for _ in ranks]
    if len(sizes) == 1:
        _count(blocks, bounds, int(sizes[0]), ranks, found)
        return found
    needed = np.zeros(len(sizes), np.int64)
    for rank in ranks:
        needed = np.where(sizes > rank, np.maximum(needed, rank + 1), needed)
    expected = np.minimum(sizes, needed + _SPARE_DEVIATIONS * np.sqrt(needed) + _SPARE_ROWS) * (needed > 0)
    while needed.any():
        limits = _limits(expected, sizes)
        gathered = np.zeros(len(sizes), np.int64)
        for start, stop in _ranges(expected, rows_at_once):
            local, high, low = _gather(blocks, bounds, limits, start, stop)
            gathered[start:stop] = np.bincount(local, minlength=stop - start)
            mine = np.where(gathered[start:stop] >= needed[start:stop], needed[start:stop], 0)
            _sort(local, high, low, mine, start, ranks, found)
        needed = np.where(gathered < needed, needed, 0)
        expected = np.where(needed > 0, sizes, 0)
    return found


def _limits(expected: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(k,) the highest leading bits that are gathered of each cluster."""
    return np.minimum(np.ceil(expected / np.maximum(sizes, 1) * 2.0**32), 2**32 - 1).astype(np.uint32)


def _ranges(rows: np.ndarray, rows_at_once: int) -> Iterator[tuple[int, int]]:
    """Runs of clusters of so many rows in all."""
    start, ends = 0, np.cumsum(rows)
    while start < len(rows):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + rows_at_once, side="right")))
        if ends[stop - 1] > done:
            yield start, stop
        start = stop


def _gather(
    blocks: Blocks, bounds: Bounds, limits: np.ndarray, start: int, stop: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the clusters from start to stop whose draws are within the limits: cluster less start, both words."""
    parts = [(np.empty(0, np.int32), np.empty(0, np.uint64), np.empty(0, np.uint64))]
    for rows in blocks():
        chosen = np.flatnonzero(leading(rows.high) <= limits.take(rows.clusters, mode="clip"))
        mine = is_within(rows.similarities[chosen], bounds)
        mine &= (rows.clusters[chosen] >= start) & (rows.clusters[chosen] < stop)
        chosen = chosen[mine]
        parts.append((rows.clusters[chosen] - np.int32(start), rows.high[chosen], rows.low[chosen]))
    local, high, low = (np.concatenate(column) for column in zip(*parts, strict=True))
    return local, high, low


def _sort(
    local: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    needed: np.ndarray,
    start: int,
    ranks: list[int],
    found: list[Nth],
) -> None:
    """Note the draws of these ranks. Sorted is a number of cluster and first bits; equal ones are then told apart."""
    n_bits = np.uint64(64 - max(1, (len(needed) - 1).bit_length()))
    numbers = np.arange(len(needed), dtype=np.uint64)
    packed = (local.astype(np.uint64) << n_bits) | (high >> (np.uint64(64) - n_bits))
    ordered = np.sort(packed)
    begins = np.searchsorted(ordered, numbers << n_bits)
    for rank, nth in zip(ranks, found, strict=True):
        clusters = np.flatnonzero(needed > rank) if rank >= 0 else np.empty(0, np.int64)
        if not len(clusters):
            continue
        places = begins[clusters] + rank
        wanted = (numbers ^ np.uint64(1)) << n_bits  # another cluster's: of those not asked for nothing is equal to it
        wanted[clusters] = ordered[places]
        hits = np.flatnonzero(packed == wanted.take(local, mode="clip"))
        hits = hits[np.lexsort((low[hits], high[hits], local[hits]))]
        firsts = np.searchsorted(local[hits], clusters)
        chosen = hits[firsts + places - np.searchsorted(ordered, ordered[places])]
        nth.high[start + clusters], nth.low[start + clusters] = high[chosen], low[chosen]


def _count(blocks: Blocks, bounds: Bounds, size: int, ranks: list[int], found: list[Nth]) -> None:
    """The same for all pairs in one cluster, whatever their draws are."""

    def within() -> Iterator[Rows]:
        for rows in blocks():
            mine = is_within(rows.similarities, bounds)
            yield Rows(*(column[mine] for column in rows))

    asked = [i for i, rank in enumerate(ranks) if 0 <= rank < size]
    highs, left = order_statistics(
        lambda: (rows.high for rows in within()), np.array([ranks[i] for i in asked], np.int64), n_bits=64
    )
    for i, high, rank in zip(asked, highs, left, strict=True):
        lows, _ = order_statistics(partial(_lows, within, high), np.array([rank]), n_bits=64)
        found[i].high[0], found[i].low[0] = high, lows[0]


def _lows(blocks: Blocks, high: np.uint64) -> Iterator[np.ndarray]:
    for rows in blocks():
        yield rows.low[rows.high == high]
