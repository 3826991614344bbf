"""Which images probe which cluster, turned round: the images of each cluster."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np


class Probing:
    """Which of m images probe which cluster, as pairs; first (m,): the most promising cluster of each."""

    def __init__(self, lists: Sequence[np.ndarray]) -> None:
        counts = np.array([len(near) for near in lists])
        self._starts = np.cumsum(counts) - counts
        self._clusters = np.concatenate(lists)
        self._images = np.repeat(np.arange(len(lists)), counts)
        self.first = self._clusters[self._starts]

    def by_cluster(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Clusters, each with those of the rows that probe it."""
        is_asked = np.zeros(len(self.first), bool)
        is_asked[rows] = True
        some = is_asked[self._images]
        yield from grouped(self._clusters[some], self._images[some])

    def sizes(self, of_clusters: np.ndarray) -> np.ndarray:
        """(m,) how many sentences are in the clusters of each image."""
        return np.add.reduceat(of_clusters[self._clusters], self._starts)


def grouped(keys: np.ndarray, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each key (n,), ascending, with its values (n,) in their order."""
    small = keys.astype(np.uint16) if keys.max(initial=0) < 2**16 else keys  # sorted by radix
    order = np.argsort(small, kind="stable")
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    for start, stop in pairwise([*starts.tolist(), len(keys)]):
        yield int(keys[start]), values[start:stop]
