"""What a search keeps of each image's best sentences while it goes from cluster to cluster."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np

from realsyn_ops.stages.retrieve.rows import Rows

_faiss: Any = faiss
"""Its stubs do not know everything."""
ERROR = 1e-5
"""More than float32 products of unit rows and of heads can lose, three times over."""
_TILE = 4_096
_SCORED = 100_000
"""Pairs scored at a time where sentences are read for it: few reads, and floors that rise in between."""
_SORTED = 20_000
"""Pairs sorted in at a time."""
_PAIRS = 16_384


@dataclass(frozen=True)
class Corpus:
    """Sentences: rows (n, d), heads (n, e + 1), the rank of their keys, and positions by cluster; slack: what products
    of the heads may fall short of the cosine by."""

    rows: np.ndarray | Rows
    heads: np.ndarray
    rank: np.ndarray
    lists: list[np.ndarray]
    slack: float

    @property
    def is_read(self) -> bool:
        """Whether all rows are in memory."""
        return isinstance(self.rows, np.ndarray) or self.rows.is_read

    def by_heads(self) -> "Corpus":
        """The same sentences with their heads for rows."""
        return replace(self, rows=self.heads.astype(np.float32, copy=False), slack=0.0)

    def heads_at(self, positions: np.ndarray) -> np.ndarray:
        """(k, e + 1) float32."""
        return self.heads[positions].astype(np.float32, copy=False)

    def scores(self, images: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(k,) float32 cosines of images first[i] with sentences second[i]."""
        out = np.empty(len(first), np.float32)
        for some, rows, places in self._tiles(second, _PAIRS):
            mine, part = np.ascontiguousarray(first[some]), out[some]
            _faiss.pairwise_indexed_inner_product(
                images.shape[1], len(mine), faiss.swig_ptr(images), faiss.swig_ptr(mine), faiss.swig_ptr(rows),
                faiss.swig_ptr(np.ascontiguousarray(places)), faiss.swig_ptr(part),
            )  # fmt: skip
        return out

    def exact(self, images: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(k,) cosines of images first[i] and sentences second[i], each by itself in float64, to six digits."""
        scores = np.empty(len(first))
        for some, rows, places in self._tiles(second, _TILE):
            left, right = images[first[some]].astype(np.float64), rows[places].astype(np.float64)
            scores[some] = np.einsum("ij,ij->i", left, right)
        return scores.round(6)

    def _tiles(self, positions: np.ndarray, size: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Some of the positions (k,) at a time, with rows among which theirs are, and where."""
        if isinstance(self.rows, Rows):
            self.rows.read(positions)
        for start in range(0, len(positions), size):
            some = slice(start, start + size)
            if isinstance(self.rows, Rows):
                yield some, *self.rows.at(positions[some])
            else:
                yield some, self.rows, positions[some]


class Best:
    """The best few of each image so far. Pairs are scored and those below the image's floor dropped, then sorted in."""

    def __init__(self, corpus: Corpus, images: np.ndarray, floor: np.ndarray, n: int, kept: int) -> None:
        self._corpus, self._images, self._floor, self._n = corpus, images, floor, min(n, kept)
        self._near = np.full((len(images), kept), -1, np.int64)
        self._scores = np.full((len(images), kept), -np.inf, np.float32)
        self._unscored: list[tuple[np.ndarray, ...]] = []
        self._unsorted: list[tuple[np.ndarray, ...]] = []
        self._n_unscored = self._n_unsorted = 0
        self._max_unscored = 0 if corpus.is_read else _SCORED

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
        self._floor[rows] = np.maximum(self._floor[rows], self._scores[rows, self._n - 1] - np.float32(ERROR))
