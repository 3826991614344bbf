"""Which images probe which cluster, turned round: the images of each cluster."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from realsyn_ops.stages.retrieve.sight import Sight, probes

BLOCK = 32_768
"""Images searched at a time."""


class Probing:
    """Which of m images (a block) probe which cluster; first (m,): the most promising cluster of each.

    Two bytes a pair, sorted once for all parts of the sentences that the block is searched over.
    """

    def __init__(self, lists: Sequence[np.ndarray]) -> None:
        counts = np.array([len(near) for near in lists])
        clusters = np.concatenate(lists)
        self.first = clusters[np.cumsum(counts) - counts]
        self._images = np.repeat(np.arange(len(lists), dtype=np.uint16), counts)[_order(clusters)]
        self._limits = np.r_[0, np.cumsum(np.bincount(clusters))]

    def by_cluster(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Clusters, each with those of the rows that probe it."""
        is_asked = np.zeros(len(self.first), bool)
        is_asked[rows] = True
        for cluster, (start, stop) in enumerate(pairwise(self._limits.tolist())):
            mine = self._images[start:stop].astype(np.int64)
            if len(mine := mine[is_asked[mine]]):
                yield cluster, mine

    def sizes(self, of_clusters: np.ndarray) -> np.ndarray:
        """(m,) how many sentences are in the clusters of each image."""
        weights = np.repeat(of_clusters[: len(self._limits) - 1], np.diff(self._limits))
        return np.bincount(self._images, weights, len(self.first)).astype(np.int64)


def probing_of(lists: Sequence[np.ndarray]) -> list[Probing]:
    """Of images with lists of clusters, the most promising first."""
    return [Probing(lists[start : start + BLOCK]) for start in range(0, len(lists), BLOCK)]


def probing(sight: Sight, images: np.ndarray) -> list[Probing]:
    """Of images (m, d), by the clusters that each probes."""
    return [Probing(probes(sight, images[start : start + BLOCK])) for start in range(0, len(images), BLOCK)]


def grouped(keys: np.ndarray, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each key (n,), ascending, with its values (n,) in their order."""
    order = _order(keys)
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    for start, stop in pairwise([*starts.tolist(), len(keys)]):
        yield int(keys[start]), values[start:stop]


def _order(keys: np.ndarray) -> np.ndarray:
    small = keys.astype(np.uint16) if keys.max(initial=0) < 2**16 else keys  # sorted by radix
    return np.argsort(small, kind="stable")
