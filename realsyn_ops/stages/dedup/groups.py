"""From links to groups: who survives, and who belongs to whom.

The paper joins duplicates by union-find and gives no thresholds (Real-World Data Extraction). Union-find alone chains
strangers together; here a record is a duplicate only of a survivor that is itself within the threshold. Survivors are
chosen by rank, best first, and take every neighbour not taken yet: canonical whatever the order of arrival, and no two
survivors are near-duplicates of each other. Components are measured only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from realsyn_ops.records import Reason
from realsyn_ops.stages.dedup.cosine import cosine_links
from realsyn_ops.stages.dedup.hashes import hash_links
from realsyn_ops.stages.dedup.links import Links, first_holders
from realsyn_ops.stages.dedup.vectors import cosines, vector_identity


@dataclass(frozen=True)
class Kind:
    """One way of being near-duplicates: the reason it gives, each record's value (n,), and links between values.

    Records with equal values are near-duplicates. A link between two records holds for all with the values of the two,
    so links of earlier days stay true when equal records come or go, as long as one of them is there to name the value.
    """

    reason: Reason
    values: np.ndarray
    links: Links

    @cached_property
    def holders(self) -> np.ndarray:
        """(n,) the first record with each record's value."""
        return first_holders(self.values)

    @cached_property
    def named(self) -> Links:
        """The links between first holders."""
        return self.links.at(self.holders)


@dataclass(frozen=True)
class Groups:
    """Per record (n,): its survivor's position (its own for a survivor), the similarity to it, the reason (None for a
    survivor), and the number of records its component of near-duplicates holds."""

    survivor: np.ndarray
    similarity: np.ndarray
    reason: list[Reason | None]
    component_size: np.ndarray


def group(kinds: Sequence[Kind], *, rank: np.ndarray) -> Groups:
    """Group n records by their links of several kinds; a member linked by two has the reason of the first.

    rank: (n,) position of each record from best to worst, all distinct. Similarity is that of the link by a semantic
    kind, rounded to 6 digits, 1 for equal vectors and survivors, NaN where only other kinds link the two.
    """
    n = len(rank)
    unrolled = [_Neighbours(kind) for kind in kinds]
    linked = np.logical_or.reduce([np.zeros(n, bool), *(neighbours.is_linked for neighbours in unrolled)])
    order = np.flatnonzero(linked)
    survivor, by = np.arange(n), np.full(n, -1, np.int8)
    is_taken = bytearray(n)
    for i in order[np.argsort(rank[order])].tolist():
        if is_taken[i]:
            continue
        is_taken[i] = True
        for number, neighbours in enumerate(unrolled):
            for j in neighbours.take(i):
                if not is_taken[j]:
                    is_taken[j] = True
                    survivor[j], by[j] = i, number
    reasons: list[Reason | None] = [*(kind.reason for kind in kinds), None]
    reason = [reasons[number] for number in by.tolist()]
    return Groups(survivor, _similarity(kinds, survivor), reason, _component_sizes(kinds, n))


def near_duplicates(
    vectors: np.ndarray,
    *,
    rank: np.ndarray,
    min_similarity: float,
    identities: np.ndarray | None = None,
    max_hash_distance: int = 0,
) -> Groups:
    """Group n records by cosine similarity and by identity, all at once: every pair is looked at, none is stored.

    vectors: (n, d) float32 unit rows. rank: (n,) position of each record from best to worst, all distinct.
    identities: (n,) uint64, perceptual hashes or hashes of normalised text: records within ``max_hash_distance`` bits
    are perceptual duplicates. Similarity of an edge is the cosine in both cases.
    """
    n = len(vectors)
    everything = np.ones(n, bool)
    same = vector_identity(vectors)
    limits, cells = np.arange(n + 1), np.zeros(n, np.int32)
    semantic = cosine_links(vectors, limits, cells, everything, min_similarity=min_similarity, identities=same)
    kinds = [Kind(Reason.SEMANTIC_DUPLICATE, same, semantic)]
    if identities is not None:
        hashes = identities.astype(np.uint64)
        perceptual = hash_links(hashes, everything, max_distance=max_hash_distance)
        kinds.insert(0, Kind(Reason.PERCEPTUAL_DUPLICATE, hashes, perceptual))
    groups = group(kinds, rank=rank)
    similarity = cosines(vectors, np.arange(n), vectors, groups.survivor)
    return replace(groups, similarity=similarity.round(6))


class _Neighbours:
    """The records that share a record's value or a linked one, given out once: after a survivor took them, none of them
    is free for another."""

    def __init__(self, kind: Kind) -> None:
        holders, links = kind.holders, kind.named
        is_value = np.bincount(holders, minlength=len(holders)) > 1
        is_value[links.first] = is_value[links.second] = True
        self.is_linked = is_value[holders]
        number = np.cumsum(is_value) - 1
        n_values = int(is_value.sum())
        self._records = np.flatnonzero(self.is_linked)
        value = number[holders[self._records]]
        self._records = self._records[np.argsort(value, kind="stable")]
        self._limits = np.r_[0, np.cumsum(np.bincount(value, minlength=n_values))].tolist()
        pairs = (number[np.r_[links.first, links.second]], number[np.r_[links.second, links.first]])
        near = coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=(n_values, n_values)).tocsr()
        self._near, self._near_limits = near.indices, near.indptr.tolist()
        self._value = dict(zip(np.sort(self._records).tolist(), value.tolist(), strict=True))
        self._is_taken = bytearray(n_values)

    def take(self, record: int) -> Iterator[int]:
        """Records linked to this one by this kind, but for those given out before."""
        value = self._value.get(record)
        if value is None:
            return
        for other in (value, *self._near[self._near_limits[value] : self._near_limits[value + 1]].tolist()):
            if not self._is_taken[other]:
                self._is_taken[other] = True
                yield from self._records[self._limits[other] : self._limits[other + 1]].tolist()


def _similarity(kinds: Sequence[Kind], survivor: np.ndarray) -> np.ndarray:
    n = len(survivor)
    similarity = np.where(survivor == np.arange(n), 1.0, np.nan)
    members = np.flatnonzero(np.isnan(similarity))
    for kind in kinds:
        if kind.reason is not Reason.SEMANTIC_DUPLICATE or not len(members):
            continue
        holders, links = kind.holders, kind.named
        one, other = holders[members], holders[survivor[members]]
        similarity[members[one == other]] = 1.0
        if not len(links):
            continue
        wanted = np.minimum(one, other) << 32 | np.maximum(one, other)
        known = links.first << 32 | links.second
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        there = known[place] == wanted
        similarity[members[there]] = links.similarity[place[there]]
    return similarity.round(6)


def _component_sizes(kinds: Sequence[Kind], n: int) -> np.ndarray:
    none = np.empty(0, np.int64)
    if n == 0:
        return none
    equal = [np.flatnonzero(kind.holders != np.arange(n)) for kind in kinds]
    named = [(kind.holders, some) for kind, some in zip(kinds, equal, strict=True)]
    first = np.concatenate([none, *equal, *(kind.named.first for kind in kinds)])
    second = np.concatenate([none, *(holders[some] for holders, some in named), *(kind.named.second for kind in kinds)])
    sizes, joined = np.ones(n, np.int64), np.unique(np.concatenate([first, second]))
    pairs = np.searchsorted(joined, first), np.searchsorted(joined, second)
    edges = coo_array((np.ones(len(first), np.int8), pairs), shape=(len(joined), len(joined)))
    _, labels = connected_components(edges.tocsr(), directed=False)
    sizes[joined] = np.bincount(labels)[labels]
    return sizes
