"""The best sentences for each image among those of the clusters it probes, and how parts of that answer are merged.

For a frozen `Sight` an image's answer is a function of the image and of the *set* of sentences: however they are split
into days and buckets, the merged answers of the parts are the answer of the whole. Cluster by cluster, images meet
sentences in one matrix product of their *heads*, which never falls short of the cosine (`realsyn_ops/heads.py`): what
it puts below the n-th best so far is out, and only the rest, less than a hundredth, is scored exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from realsyn_ops.heads import vector_heads
from realsyn_ops.stages.retrieve.best import ERROR, Best, Corpus
from realsyn_ops.stages.retrieve.newcomers import newcomers
from realsyn_ops.stages.retrieve.probing import BLOCK, Probing, grouped
from realsyn_ops.stages.retrieve.rows import Rows
from realsyn_ops.stages.retrieve.sight import Sight, probes

_TILE = 4_096
_FEW = 8
"""Sentences a cluster up to which the product of all pairs costs less than reading heads cluster by cluster."""
_ASKED = 64
"""Sentences, best by their heads, that are read for a floor before others are: a high one spares reads."""
_SPARE = 4
"""Candidates scored in float64 beyond those wanted."""
_HALF_ERROR = 1e-3
"""More than heads kept as float16 can lose: half of 2**-10 of each factor."""


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
    sentences: np.ndarray | Rows,
    *,
    keys: np.ndarray,
    clusters: np.ndarray,
    n_candidates: int,
    probed: Sequence[Probing] | None = None,
    heads: np.ndarray | None = None,
    least: np.ndarray | None = None,
) -> Candidates:
    """The best `n_candidates` of these sentences for each image: by cosine rounded to six digits, ties by key.

    images (m, d), sentences (n, d): unit rows, any float; keys (n,), which sort; clusters (n,) by `assign`.
    The sentences may be any part of all: those of a day, or of some clusters. `probed`: by the images' blocks, in
    place of `probes(sight, .)`. heads (n, e + 1): `vector_heads` along the sight's basis, where they are at hand: of
    the sentences, which may be `Rows` then, few are read, unless they are already. least
    (m,): scores below which an image wants none. Of few sentences such images look at all, by their heads
    (`newcomers`).
    """
    found = Candidates(
        np.zeros((len(images), n_candidates), keys.dtype),
        np.full((len(images), n_candidates), -np.inf),
        np.zeros(len(images), np.int64),
    )
    if len(keys) == 0 or len(images) == 0:
        return found
    if isinstance(sentences, np.ndarray):
        sentences = np.ascontiguousarray(sentences, np.float32)
        heads = vector_heads(sentences, sight.basis) if heads is None else heads
    if heads is None:
        raise ValueError("Rows are searched by their heads: give them")
    rank = np.empty(len(keys), np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    order = np.argsort(clusters, kind="stable")
    lists = np.split(order, np.searchsorted(clusters[order], np.arange(1, sight.n_clusters)))
    slack = _HALF_ERROR if heads.dtype == np.float16 else 0.0
    corpus = Corpus(sentences, heads, rank, lists, slack)
    least = np.full(len(images), -np.inf) if least is None else least
    is_few = probed is None and len(keys) <= _FEW * sight.n_clusters
    for rows in _blocks(is_few & np.isfinite(least)):
        vectors = np.ascontiguousarray(images[rows], np.float32)
        seen = vector_heads(vectors, sight.basis)
        if is_few and np.isfinite(least[rows[0]]):
            found.n_scored[rows] = len(keys)
            positions, scores = newcomers(sight, corpus, clusters, vectors, seen, n_candidates, least=least[rows])
        else:
            probing = Probing(probes(sight, vectors)) if probed is None else probed[rows[0] // BLOCK]
            found.n_scored[rows] = probing.sizes(np.array([len(one) for one in lists]))
            positions, scores = _search(corpus, vectors, seen, probing, n_candidates, least[rows])
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


def above(least: np.ndarray | None, found: Candidates) -> np.ndarray:
    """(m,) what a candidate of a further part must score: what the last one found does, where an image has them all."""
    last = found.scores[:, -1]
    return last if least is None else np.maximum(least, last)


def touched(candidates: Candidates, removed: np.ndarray) -> np.ndarray:
    """(m,) whether an image must be searched anew once the removed keys are gone: one of them is a candidate of it."""
    return (np.isin(candidates.keys, removed) & np.isfinite(candidates.scores)).any(axis=1)


def _blocks(is_one: np.ndarray) -> Iterator[np.ndarray]:
    """Rows, a block at a time: of one kind, then of the other."""
    for rows in (np.flatnonzero(is_one), np.flatnonzero(~is_one)):
        for start in range(0, len(rows), BLOCK):
            yield rows[start : start + BLOCK]


def _search(
    corpus: Corpus, images: np.ndarray, heads: np.ndarray, probing: Probing, n: int, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (-1 for none) and scores (m, n) of the best: keeps more of them until none can be missing."""
    positions, scores = np.full((len(images), n), -1, np.int64), np.full((len(images), n), -np.inf)
    kept, rows = n + _SPARE, np.arange(len(images))
    floor = np.maximum(least, _promised(corpus, images, heads, probing, least, n)) - ERROR
    while len(rows):
        kept = min(kept, len(corpus.rank))
        near, coarse = _nearest(corpus, images, heads, probing.by_cluster(rows), floor.astype(np.float32), n, kept)
        near, coarse = near[rows], coarse[rows]
        fine = np.full(near.shape, -np.inf)
        fine[near >= 0] = corpus.exact(images, np.repeat(rows, (near >= 0).sum(axis=1)), near[near >= 0])
        fine[fine < least[rows, None]] = -np.inf
        best = np.lexsort((corpus.rank[near], -fine), axis=1)[:, :n]
        score = np.take_along_axis(fine, best, axis=1)
        positions[rows, : best.shape[1]] = np.where(np.isfinite(score), np.take_along_axis(near, best, axis=1), -1)
        scores[rows, : best.shape[1]] = score
        may_lack = (near[:, -1] >= 0) & (kept < len(corpus.rank)) & (coarse[:, -1] + ERROR >= scores[rows, -1])
        rows, kept = rows[may_lack], kept * 8
    return positions, scores


def _promised(
    corpus: Corpus, images: np.ndarray, heads: np.ndarray, probing: Probing, least: np.ndarray, n: int
) -> np.ndarray:
    """(m,) a score that n sentences of each image reach; -inf where there are fewer, or where it has a least.

    The n-th best of those that are best by their heads: of the most promising cluster, or, where sentences are read for
    it and a floor that is near the truth spares reads, of all that are probed.
    """
    asking = np.flatnonzero(np.isneginf(least))
    if corpus.is_read:
        rows, near = _first(corpus, heads, probing.first, asking, n)
    else:
        seen = corpus.by_heads()
        width = max(n, _ASKED)
        floor = _nth_best(seen, heads, *_first(seen, heads, probing.first, asking, width), width) - ERROR
        near = _nearest(seen, heads, heads, probing.by_cluster(asking), floor.astype(np.float32), width, width)[0]
        rows = asking[(near[asking] >= 0).all(axis=1)]
        near = near[rows]
    return _nth_best(corpus, images, rows, near, n)


def _first(
    corpus: Corpus, heads: np.ndarray, first: np.ndarray, asking: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of the images that ask those with enough sentences in their first cluster (k,), and the best by heads (k, w)."""
    width = n + _SPARE
    rows, near = [np.empty(0, np.int64)], [np.empty((0, width), np.int64)]
    for cluster, mine in grouped(first[asking], asking):
        there = corpus.lists[cluster]
        if len(there) >= width:
            products = heads[mine] @ corpus.heads_at(there).T
            rows.append(mine)
            near.append(there[np.argpartition(-products, width - 1, axis=1)[:, :width]])
    return np.concatenate(rows), np.concatenate(near)


def _nth_best(corpus: Corpus, images: np.ndarray, rows: np.ndarray, near: np.ndarray, n: int) -> np.ndarray:
    """(m,) of the images at some rows (k,) the n-th best score with the sentences near them (k, w); -inf elsewhere."""
    best = np.full(len(images), -np.inf)
    scores = corpus.scores(images, np.repeat(rows, near.shape[1]), near.ravel()).reshape(near.shape)
    best[rows] = -np.partition(-scores, n - 1, axis=1)[:, n - 1]
    return best


def _nearest(
    corpus: Corpus, images: np.ndarray, heads: np.ndarray, by_cluster: Iterator[tuple[int, np.ndarray]],
    floor: np.ndarray, n: int, kept: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Positions (-1 for none) and float32 scores (m, kept), best first, of what may be among the best n."""
    best = Best(corpus, images, floor, n, kept)
    slack = np.float32(corpus.slack)
    for cluster, rows in by_cluster:
        there = corpus.lists[cluster]
        if not len(there):
            continue
        others = corpus.heads_at(there).T
        for start in range(0, len(rows), _TILE):
            mine = rows[start : start + _TILE]
            i, j = np.divmod(np.flatnonzero(heads[mine] @ others >= floor[mine, None] - slack), len(there))
            best.add(mine[i], there[j])
    return best.settled()
