"""Where the clusters are cut: the cap that gives a size, and of each cluster the last draw that is taken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from realsyn_ops.stages.sample.bounds import Bounds, is_within
from realsyn_ops.stages.sample.draws import Blocks
from realsyn_ops.stages.sample.lowest import Nth, leading, nth_draws

_ALL = np.uint64(2**64 - 1)


class Scale(NamedTuple):
    """A size and the cap that gives it: clusters give ``cap - 1`` and, as far as the size goes, one more."""

    size: int
    cap: int


@dataclass(frozen=True)
class Cut:
    """Of each cluster (k,) the last draw that a scale takes: its two words. No key draws 128 zeros: that takes none."""

    high: np.ndarray
    low: np.ndarray

    def takes(self, high: np.ndarray, low: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """(n,) whether each draw of its cluster is taken."""
        last, first_bits = self._last.take(clusters, mode="clip"), leading(high)
        taken = first_bits < last
        even = np.flatnonzero(first_bits == last)
        of, here = clusters[even], high[even]
        taken[even] = (here < self.high[of]) | ((here == self.high[of]) & (low[even] <= self.low[of]))
        return taken

    @cached_property
    def _last(self) -> np.ndarray:
        return leading(self.high)


def cluster_sizes(blocks: Iterable[Sequence[np.ndarray]], bounds: Bounds, *, n_clusters: int) -> np.ndarray:
    """(k,) pairs within the bounds by cluster. blocks: clusters and similarities of some pairs at a time."""
    sizes, held = np.zeros(n_clusters, np.int64), [np.empty(0, np.int32)]
    for clusters, similarities in blocks:
        held.append(clusters[is_within(similarities, bounds)])
        if sum(map(len, held)) >= n_clusters:
            sizes += np.bincount(np.concatenate(held), minlength=n_clusters)
            held = held[:1]
    return sizes + np.bincount(np.concatenate(held), minlength=n_clusters)


def solve_cap(sizes: np.ndarray, wanted: int) -> int:
    """The smallest cap with which clusters of these sizes give ``wanted`` members or more (all, if there are fewer)."""
    if wanted >= sizes.sum():
        return int(sizes.max(initial=0))
    low, high = 0, int(sizes.max(initial=0))
    while low < high:
        middle = (low + high) // 2
        if np.minimum(sizes, middle).sum() >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def solved_scales(sizes: np.ndarray, wanted: Iterable[int]) -> list[Scale]:
    """The scales of these sizes, smallest first; one that is wanted twice, or beyond all there is, only once."""
    reachable = sorted({min(size, int(sizes.sum())) for size in wanted})
    return [Scale(size, solve_cap(sizes, size)) for size in reachable]


def fixed_scales(sizes: np.ndarray, caps: Iterable[int]) -> list[Scale]:
    """The scales that these caps give, as in the paper."""
    return [Scale(int(np.minimum(sizes, cap).sum()), cap) for cap in sorted(set(caps))]


def cut_clusters(
    blocks: Blocks, bounds: Bounds, sizes: np.ndarray, scales: Iterable[Scale], *, rows_at_once: int
) -> list[Cut]:
    """Of each scale its cuts: pairs in order of rank in the cluster, then draw, until the size is met."""
    scales = list(scales)
    found = nth_draws(blocks, bounds, sizes, [scale.cap - 1 for scale in scales], rows_at_once=rows_at_once)
    return [_cut(sizes, *each) for each in zip(scales, found, strict=True)]


def _cut(sizes: np.ndarray, scale: Scale, last: Nth) -> Cut:
    """Of the clusters that reach the cap those with the lowest draws there give it, the others stop right before."""
    if not scale.cap:
        return Cut(np.zeros(len(sizes), np.uint64), np.zeros(len(sizes), np.uint64))
    reaching = np.flatnonzero(sizes >= scale.cap)
    n_giving = scale.size - int(np.minimum(sizes, scale.cap - 1).sum())
    stopped = reaching[np.lexsort((last.low[reaching], last.high[reaching]))[n_giving:]]
    high, low = np.full(len(sizes), _ALL), np.full(len(sizes), _ALL)
    high[reaching], low[reaching] = last.high[reaching], last.low[reaching]
    high[stopped] -= (low[stopped] == 0).astype(np.uint64)
    low[stopped] -= np.uint64(1)
    return Cut(high, low)
