"""Links between records, and what all kinds of them share: equal values stand together, and equal keys are joined.

A link is between two *values* (a vector, a hash, a text) and names the first record that holds each. Records that hold
the same value are near-duplicates of that kind without a link, and have each other's links. So a million equal records
make no link at all, and what the groups are does not depend on which record stood for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_MAX_PAIRS = 1 << 21
_TABLE = 1 << 22


@dataclass(frozen=True)
class Links:
    """m links: positions `first` < `second` (m,) int64 of records, sorted, each pair once, and `similarity` (m,)
    float64 of the two in their kind's own measure."""

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def at(self, positions: np.ndarray) -> "Links":
        """The same links where record i has become record positions[i] (n,)."""
        return make_links(positions[self.first], positions[self.second], self.similarity)


def make_links(first: np.ndarray, second: np.ndarray, similarity: np.ndarray) -> Links:
    """Links of pairs in any order, given once or more often. A record is not linked with itself."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
    pairs, chosen = np.unique(low << 32 | high, return_index=True)
    apart = pairs >> 32 != pairs & 0xFFFFFFFF
    pairs = pairs[apart]
    return Links(pairs >> 32, pairs & 0xFFFFFFFF, similarity[chosen[apart]].astype(np.float64))


def merge_links(parts: Sequence[Links]) -> Links:
    """All links of the parts, each once: of ranges of cells, of days."""
    none = np.empty(0, np.int64)
    return make_links(
        np.concatenate([none, *(part.first for part in parts)]),
        np.concatenate([none, *(part.second for part in parts)]),
        np.concatenate([np.empty(0), *(part.similarity for part in parts)]),
    )


def first_holders(values: np.ndarray) -> np.ndarray:
    """(n,) position of the first record with the same value (n,), its own for the first."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(values)])
    holders = np.empty(len(values), np.int64)
    if len(starts):
        holders[order] = np.repeat(np.minimum.reduceat(order, starts), np.diff(np.r_[starts, len(values)]))
    return holders


def distinct_values(values: np.ndarray, is_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first holder of each value (k,), by position, and whether the value is new (k,): no old record holds it."""
    holders = first_holders(values)
    is_fresh = np.ones(len(values), bool)
    is_fresh[holders[~is_new]] = False
    first = np.flatnonzero(holders == np.arange(len(values)))
    return first, is_fresh[first]


def joined_pairs(keys: np.ndarray, is_new: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions with equal keys (n,) of which at least one is new, each once, some millions at a time."""
    if not is_new.any():
        return
    positions = np.concatenate([np.flatnonzero(is_new), np.flatnonzero(~is_new & _may_be_among(keys, keys[is_new]))])
    positions = positions[np.argsort(keys[positions], kind="stable")]
    if not len(positions):
        return
    ordered = keys[positions]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    stops = np.repeat(np.r_[starts[1:], len(ordered)], np.diff(np.r_[starts, len(ordered)]))
    # New ones stand first in their run: each is paired with all that follow it.
    openers = np.flatnonzero(is_new[positions])
    counts = stops[openers] - openers - 1
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(openers):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _MAX_PAIRS, side="right")))
        some = counts[begin:end]
        offsets = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        left = np.repeat(openers[begin:end], some)
        yield positions[left], positions[left + 1 + offsets]
        begin = end


def _may_be_among(keys: np.ndarray, some: np.ndarray) -> np.ndarray:
    """(n,) False where a key is not among some: most of those that are not, when some are few."""
    table = np.zeros(_TABLE, bool)
    table[some & np.uint64(_TABLE - 1)] = True
    return table[keys & np.uint64(_TABLE - 1)]
