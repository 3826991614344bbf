"""The best sentences for each image among those of the clusters it probes, and how parts of that answer are merged.

For a frozen `Sight` an image's answer is a function of the image and of the *set* of sentences: however they are split
into days and buckets, the merged answers of the parts are the answer of the whole. Cluster by cluster, images meet
sentences in one matrix product of their *heads*: it never falls short of the cosine (`stages/heads`), so what it puts
below the n-th best so far is out, and only the rest, less than a hundredth, is scored exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import faiss
import numpy as np

from realsyn_ops.heads import vector_heads
from realsyn_ops.stages.retrieve.sight import Sight, probes

_faiss: Any = faiss
"""Its stubs do not know everything."""
_BLOCK = 32_768
_TILE = 4_096
_SPARE = 4
"""Candidates scored in float64 beyond those wanted."""
_ERROR = 1e-5
"""More than float32 products of unit rows and of heads can lose, three times over."""
_HALF_ERROR = 1e-3
"""More than heads kept as float16 can lose: half of 2**-10 of each factor."""
_SCORED = 1_000_000
"""Pairs scored at a time where sentences are read for it: what they need is read once."""
_SORTED = 20000
"""Pairs sorted in at a time."""


@dataclass(frozen=True)
class Candidates:
    """Per image its best sentences, (m, n): keys, scores; -inf where there are fewer. n_scored (m,): looked at."""

    keys: np.ndarray
    scores: np.ndarray
    n_scored: np.ndarray

    def of(self, images: np.ndarray) -> "Candidates":
        """Those of some of the images (k,)."""
        return Candidates(self.keys[images], self.scores[images], self.n_scored[images])


def search(
    sight: Sight,
    images: np.ndarray,
    sentences: Any,
    *,
    keys: np.ndarray,
    clusters: np.ndarray,
    n_candidates: int,
    probed: Sequence[np.ndarray] | None = None,
    heads: np.ndarray | None = None,
    least: np.ndarray | None = None,
) -> Candidates:
    """The best `n_candidates` of these sentences for each image: by cosine rounded to six digits, ties by key.

    images (m, d), sentences (n, d): unit rows, any float; keys (n,), which sort; clusters (n,) by `assign`.
    The sentences may be any part of all: those of a day, or of some clusters. `probed`: instead of `probes(sight, .)`,
    the most promising first. heads (n, e + 1): `vector_heads` along the sight's basis, where they are at hand; of the
    sentences, which need not be an array then but only give rows at ascending positions (k,), few are read. least (m,):
    scores below which an image wants none.
    """
    found = Candidates(
        np.zeros((len(images), n_candidates), keys.dtype),
        np.full((len(images), n_candidates), -np.inf),
        np.zeros(len(images), np.int64),
    )
    if len(keys) == 0 or len(images) == 0:
        return found
    if heads is None:
        sentences = np.ascontiguousarray(sentences, np.float32)
        heads = vector_heads(sentences, sight.basis)
    rank = np.empty(len(keys), np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    order = np.argsort(clusters, kind="stable")
    lists = np.split(order, np.searchsorted(clusters[order], np.arange(1, sight.n_clusters)))
    corpus = _Corpus(sentences, heads, rank, lists)
    least = np.full(len(images), -np.inf) if least is None else least
    for start in range(0, len(images), _BLOCK):
        rows = slice(start, start + _BLOCK)
        vectors = np.ascontiguousarray(images[rows], np.float32)
        probing = _Probing(probes(sight, vectors) if probed is None else probed[rows])
        found.n_scored[rows] = probing.sizes(np.array([len(one) for one in lists]))
        positions, scores = _search(
            corpus, vectors, vector_heads(vectors, sight.basis), probing, n_candidates, least[rows]
        )
        found.keys[rows] = np.where(positions < 0, found.keys[rows], keys[positions])
        found.scores[rows] = scores
    return found


def merge(parts: Sequence[Candidates], *, n_candidates: int) -> Candidates:
    """The best of the parts' candidates: equal to one search over the parts' sentences together."""
    keys = np.concatenate([part.keys for part in parts], axis=1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    best = np.lexsort((keys, -scores), axis=1)[:, :n_candidates]
    return Candidates(
        np.take_along_axis(keys, best, axis=1),
        np.take_along_axis(scores, best, axis=1),
        np.sum([part.n_scored for part in parts], axis=0),
    )


def touched(candidates: Candidates, removed: np.ndarray) -> np.ndarray:
    """(m,) whether an image must be searched anew once the removed keys are gone: one of them is a candidate of it."""
    return (np.isin(candidates.keys, removed) & np.isfinite(candidates.scores)).any(axis=1)


@dataclass(frozen=True)
class _Corpus:
    """Sentences: rows, heads, the rank of their keys, and positions by cluster."""

    rows: Any
    heads: np.ndarray
    rank: np.ndarray
    lists: list[np.ndarray]

    def scores(self, images: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(k,) float32 cosines of images first[i] with sentences second[i]."""
        rows, places = self.read(second)
        out = np.empty(len(first), np.float32)
        _faiss.pairwise_indexed_inner_product(
            images.shape[1], len(first), faiss.swig_ptr(images), faiss.swig_ptr(np.ascontiguousarray(first)),
            faiss.swig_ptr(rows), faiss.swig_ptr(np.ascontiguousarray(places)), faiss.swig_ptr(out),
        )  # fmt: skip
        return out

    def read(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows among which those of the positions are, and where."""
        if isinstance(self.rows, np.ndarray):
            return self.rows, positions
        needed, places = np.unique(positions, return_inverse=True)
        return np.ascontiguousarray(self.rows[needed], np.float32), places


class _Probing:
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
        yield from _grouped(self._clusters[some], self._images[some])

    def sizes(self, of_clusters: np.ndarray) -> np.ndarray:
        """(m,) how many sentences are in the clusters of each image."""
        return np.add.reduceat(of_clusters[self._clusters], self._starts)


def _grouped(keys: np.ndarray, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    small = keys.astype(np.uint16) if keys.max(initial=0) < 2**16 else keys  # sorted by radix
    order = np.argsort(small, kind="stable")
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    for start, stop in pairwise([*starts.tolist(), len(keys)]):
        yield int(keys[start]), values[start:stop]


def _search(
    corpus: _Corpus, images: np.ndarray, heads: np.ndarray, probing: _Probing, n: int, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (-1 for none) and scores (m, n) of the best: keeps more of them until none can be missing."""
    positions, scores = np.full((len(images), n), -1, np.int64), np.full((len(images), n), -np.inf)
    kept, rows = n + _SPARE, np.arange(len(images))
    floor = np.maximum(least, _promised(corpus, images, heads, probing.first, least, n)) - _ERROR
    while len(rows):
        kept = min(kept, len(corpus.rank))
        near, coarse = _nearest(corpus, images, heads, probing.by_cluster(rows), floor.astype(np.float32), n, kept)
        near, coarse = near[rows], coarse[rows]
        fine = np.full(near.shape, -np.inf)
        fine[near >= 0] = _exact(corpus, images, np.repeat(rows, (near >= 0).sum(axis=1)), near[near >= 0])
        fine[fine < least[rows, None]] = -np.inf
        best = np.lexsort((corpus.rank[near], -fine), axis=1)[:, :n]
        score = np.take_along_axis(fine, best, axis=1)
        positions[rows, : best.shape[1]] = np.where(np.isfinite(score), np.take_along_axis(near, best, axis=1), -1)
        scores[rows, : best.shape[1]] = score
        may_lack = (near[:, -1] >= 0) & (kept < len(corpus.rank)) & (coarse[:, -1] + _ERROR >= scores[rows, -1])
        rows, kept = rows[may_lack], kept * 8
    return positions, scores


def _promised(
    corpus: _Corpus, images: np.ndarray, heads: np.ndarray, first: np.ndarray, least: np.ndarray, n: int
) -> np.ndarray:
    """(m,) a score that n sentences of the most promising cluster reach; -inf where there are fewer, or a least."""
    promised = np.full(len(images), -np.inf)
    asking = np.flatnonzero(np.isneginf(least))
    for cluster, rows in _grouped(first[asking], asking):
        there = corpus.lists[cluster]
        if len(there) < n:
            continue
        products = heads[rows] @ corpus.heads[there].astype(np.float32, copy=False).T
        width = min(n + _SPARE, len(there))
        best = there[np.argpartition(-products, width - 1, axis=1)[:, :width]]
        scores = corpus.scores(images, np.repeat(rows, width), best.ravel()).reshape(best.shape)
        promised[rows] = -np.partition(-scores, n - 1, axis=1)[:, n - 1]
    return promised


def _nearest(
    corpus: _Corpus, images: np.ndarray, heads: np.ndarray, by_cluster: Iterator[tuple[int, np.ndarray]],
    floor: np.ndarray, n: int, kept: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Positions (-1 for none) and float32 scores (m, kept), best first, of what may be among the best n."""
    best = _Best(corpus, images, floor, n, kept)
    slack = np.float32(_HALF_ERROR if corpus.heads.dtype == np.float16 else 0)
    for cluster, rows in by_cluster:
        there = corpus.lists[cluster]
        if not len(there):
            continue
        others = corpus.heads[there].astype(np.float32, copy=False).T
        for start in range(0, len(rows), _TILE):
            mine = rows[start : start + _TILE]
            i, j = np.divmod(np.flatnonzero(heads[mine] @ others >= floor[mine, None] - slack), len(there))
            best.add(mine[i], there[j])
    return best.settled()


class _Best:
    """The best few of each image so far. Pairs are scored and those below the image's floor dropped, then sorted in."""

    def __init__(self, corpus: _Corpus, images: np.ndarray, floor: np.ndarray, n: int, kept: int) -> None:
        self._corpus, self._images, self._floor, self._n = corpus, images, floor, min(n, kept)
        self._near = np.full((len(images), kept), -1, np.int64)
        self._scores = np.full((len(images), kept), -np.inf, np.float32)
        self._unscored: list[tuple[np.ndarray, ...]] = []
        self._unsorted: list[tuple[np.ndarray, ...]] = []
        self._n_unscored = self._n_unsorted = 0
        self._max_unscored = 0 if isinstance(corpus.rows, np.ndarray) else _SCORED

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Pairs of images and sentences, each pair once in all calls."""
        self._unscored.append((first, second))
        self._n_unscored += len(first)
        if self._n_unscored > self._max_unscored:
            self._score()
            if self._n_unsorted > _SORTED:
                self._sort()

    def settled(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and scores (m, kept)."""
        self._score()
        self._sort()
        return self._near, self._scores

    def _score(self) -> None:
        if self._unscored:
            first, second = (np.concatenate(part) for part in zip(*self._unscored, strict=True))
            found = self._corpus.scores(self._images, first, second)
            is_above = found >= self._floor[first]
            self._unsorted.append((first[is_above], second[is_above], found[is_above]))
            self._unscored, self._n_unscored = [], 0
            self._n_unsorted += int(is_above.sum())

    def _sort(self) -> None:
        if not self._unsorted:
            return
        first, second, found = (np.concatenate(part) for part in zip(*self._unsorted, strict=True))
        self._unsorted, self._n_unsorted = [], 0
        rows = np.unique(first)
        kept = self._near.shape[1]
        first = np.concatenate([first, np.repeat(rows, kept)])
        second = np.concatenate([second, self._near[rows].ravel()])
        found = np.concatenate([found, self._scores[rows].ravel()])
        order = np.lexsort((-found, first))
        first = first[order]
        starts = np.flatnonzero(np.r_[True, first[1:] != first[:-1]][: len(first)])
        place = np.arange(len(first)) - np.repeat(starts, np.diff(np.r_[starts, len(first)]))
        is_best = place < kept
        first, place, order = first[is_best], place[is_best], order[is_best]
        self._near[first, place], self._scores[first, place] = second[order], found[order]
        self._floor[rows] = np.maximum(self._floor[rows], self._scores[rows, self._n - 1] - np.float32(_ERROR))


def _exact(corpus: _Corpus, images: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(k,) cosines of images first[i] and sentences second[i], each by itself in float64, to six digits."""
    scores = np.empty(len(first))
    for start in range(0, len(first), _TILE):
        some = slice(start, start + _TILE)
        rows, places = corpus.read(second[some])
        left, right = images[first[some]].astype(np.float64), rows[places].astype(np.float64)
        scores[some] = np.einsum("ij,ij->i", left, right)
    return scores.round(6)
