"""Links between 64-bit hashes that differ in few bits: complete, and never through all pairs where that can be helped.

Pigeonhole: of m bands of bits, at most d are touched by d differing bits, so the other m - d agree. Each choice of
m - d bands is a key; hashes with an equal key are compared. More bands make more keys, longer ones: which m costs
least follows from the number of hashes. All pairs are the case m = d.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb

import numpy as np

from realsyn_ops.stages.dedup.links import Links, distinct_values, joined_pairs, make_links

_N_BITS = 64
_MAX_SPARE_BANDS = 5
_JOIN_COST = 10
"""What finding a hash's place among the keys costs, in compared pairs."""


def hash_links(hashes: np.ndarray, is_new: np.ndarray, *, max_distance: int) -> Links:
    """Links of new hashes (n,) uint64 with all that differ from them in at most `max_distance` bits.

    Similarity is the share of equal bits. Equal hashes need no link.
    """
    records, is_fresh = distinct_values(hashes, is_new)
    values = hashes[records]
    first, second, distances = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    for keys in _keys(values, int(is_fresh.sum()), max_distance):
        for one, other in joined_pairs(keys, is_fresh):
            distance = np.bitwise_count(values[one] ^ values[other])
            near = distance <= max_distance
            first.append(records[one[near]])
            second.append(records[other[near]])
            distances.append(distance[near])
    return make_links(np.concatenate(first), np.concatenate(second), 1 - np.concatenate(distances) / _N_BITS)


def _keys(values: np.ndarray, n_new: int, max_distance: int) -> Iterator[np.ndarray]:
    if max_distance == 0 or n_new == 0:
        return
    n_bands = min(
        range(max_distance, max_distance + _MAX_SPARE_BANDS + 1),
        key=lambda m: _cost(m, len(values), n_new, max_distance),
    )
    edges = [i * _N_BITS // n_bands for i in range(n_bands + 1)]
    bands = [(low, high - low) for low, high in pairwise(edges)]
    for chosen in combinations(bands, n_bands - max_distance):
        key = np.zeros(len(values), np.uint64)
        for low, width in chosen:
            key = key << np.uint64(width) | values >> np.uint64(low) & np.uint64((1 << width) - 1)
        yield key


def _cost(n_bands: int, n: int, n_new: int, max_distance: int) -> float:
    bits = (n_bands - max_distance) * _N_BITS / n_bands
    return comb(n_bands, max_distance) * (_JOIN_COST * n + n * n_new / 2**bits)
