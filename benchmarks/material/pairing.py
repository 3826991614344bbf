"""Texts for images as `operators/pair_rules.py` and `search.py` find them, without tables.

New images, and those that have lost a text, are searched over all sentences; the others see the new sentences. What a
day has of the days before is what the corpus keeps: texts, and how the frozen sight sees each sentence.
"""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.material.convergence import default, filled, timed
from benchmarks.material.whole_corpus import Vectors
from realsyn_ops.heads import vector_heads
from realsyn_ops.operators.search import FIRST_SPARE, HELD, READ_FOR_ONE
from realsyn_ops.plans import PairPlan, shard_bounds
from realsyn_ops.stages.cluster import Quantizer
from realsyn_ops.stages.retrieve import Candidates, Rows, Sight, above, assign, choose, merge, probing, search

N_TEXTS = int(default(PairPlan, "n_texts"))
_N_CANDIDATES = N_TEXTS + 8
_BLOCK = 65_536
_SEARCH_IMAGES = int(default(PairPlan, "search_images"))


@dataclass(frozen=True)
class Paired:
    """The kept images and sentences (positions, ascending), the images' codebook clusters and their texts as positions
    of sentences, and how the sentences are seen: cluster and head."""

    images: np.ndarray
    sentences: np.ndarray
    clusters: np.ndarray
    positions: np.ndarray
    similarities: np.ndarray
    seen: np.ndarray
    heads: np.ndarray

    def moved(self, images: np.ndarray, sentences: np.ndarray) -> "Paired":
        """The same where image i has become image images[i], and so the sentences."""
        positions = np.where(self.positions >= 0, sentences[self.positions], -1)
        return replace(self, images=images[self.images], sentences=sentences[self.sentences], positions=positions)


def pair_texts(
    images: Vectors, sentences: Vectors, kept: tuple[np.ndarray, np.ndarray], centroids: np.ndarray, sight: Sight, *,
    known: Paired | None, memory_bytes: int,
) -> tuple[Paired, dict[str, float]]:  # fmt: skip
    """Pairs of the kept images and sentences (positions); known: of the days before, in the same positions.

    And how many images were searched, and the share of the sentences that they looked at.
    """
    paired = _seen(sentences, kept, sight, known)
    quantizer = Quantizer(centroids)
    searched, updated, new = changes(paired, known)
    search_of = _Search(sight, sentences, paired, memory_bytes)
    n_searched = n_scored = 0
    if known is not None:
        before = np.searchsorted(known.images, paired.images[updated])
        paired.positions[updated], paired.similarities[updated] = known.positions[before], known.similarities[before]
        paired.clusters[updated] = known.clusters[before]
    least = np.full(len(paired.images), -np.inf)
    for start in range(0, len(updated), _SEARCH_IMAGES):
        rows = updated[start : start + _SEARCH_IMAGES]
        again = rows[_update(search_of, images.unit(paired.images[rows]), rows, new)]
        least[again] = _last_scores(paired.positions[again], paired.similarities[again])
        searched = np.append(searched, again)
    searched = np.sort(searched)
    for start in range(0, len(searched), _SEARCH_IMAGES):
        rows = searched[start : start + _SEARCH_IMAGES]
        vectors = images.unit(paired.images[rows])
        paired.clusters[rows] = _clusters(quantizer, vectors)
        n_searched += len(rows)
        n_scored += _search_all(search_of, vectors, rows, least[rows])
    return paired, {
        "n_searched": n_searched,
        "share_scored": n_scored / max(1, n_searched * len(paired.sentences)),
    }


def _search_all(search_of: "_Search", images: np.ndarray, rows: np.ndarray, least: np.ndarray) -> int:
    """Give images texts out of all sentences; how many of these were looked at."""
    everything = np.arange(search_of.n_sentences)
    n_scored, asking = 0, np.arange(len(rows))
    for n in (N_TEXTS + FIRST_SPARE, _N_CANDIDATES):
        if not len(asking):
            break
        found = search_of.candidates(images[asking], everything, least[asking], n)
        positions, similarities = search_of.texts(found)
        search_of.keep(rows[asking], positions, similarities)
        n_scored += int(found.n_scored.sum())
        asking, least = asking[positions[:, -1] < 0], np.full(len(rows), -np.inf)
    return n_scored


def changes(paired: Paired, known: Paired | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the kept images to search and to update, and rows of the new sentences."""
    everything = np.arange(len(paired.images))
    if known is None:
        return everything, everything[:0], np.arange(len(paired.sentences))
    gone = np.setdiff1d(known.sentences, paired.sentences)
    has_lost = np.isin(known.positions, gone).any(axis=1)
    is_searched = ~np.isin(paired.images, known.images[~has_lost])
    new = np.flatnonzero(~np.isin(paired.sentences, known.sentences))
    return everything[is_searched], everything[~is_searched] if len(new) else everything[:0], new


def _clusters(quantizer: Quantizer, images: np.ndarray) -> np.ndarray:
    with timed("pair: clusters"):
        clusters: np.ndarray = quantizer.assign(images)[0][:, 0]
        return clusters


def _seen(sentences: Vectors, kept: tuple[np.ndarray, np.ndarray], sight: Sight, known: Paired | None) -> Paired:
    """How the kept sentences are seen: made for the new ones, known for the others; no texts yet."""
    is_new = np.ones(len(kept[1]), bool) if known is None else ~np.isin(kept[1], known.sentences)
    seen, heads = [np.empty(0, np.int32)], [np.empty((0, sight.basis.shape[1] + 1), np.float16)]
    new = kept[1][is_new]
    for start in range(0, len(new), _BLOCK):
        with timed("pair: sightings"):
            vectors = sentences.unit(new[start : start + _BLOCK])
            seen.append(assign(sight, vectors).astype(np.int32))
            heads.append(vector_heads(vectors, sight.basis).astype(np.float16))
    before = None if known is None else np.searchsorted(known.sentences, kept[1][~is_new])
    shape = len(kept[0]), N_TEXTS
    return Paired(
        *kept,
        clusters=np.zeros(len(kept[0]), np.int64),
        positions=np.full(shape, -1, np.int64),
        similarities=np.zeros(shape, np.float32),
        seen=filled(np.concatenate(seen), is_new, None if known is None else known.seen[before]),
        heads=filled(np.concatenate(heads), is_new, None if known is None else known.heads[before]),
    )


@dataclass(frozen=True)
class _Stored:
    vectors: Vectors

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        return self.vectors.stored(positions)


class _Search:
    """As `operators.search.Search`, through the frozen sight. Sentences are rows of the kept ones."""

    def __init__(self, sight: Sight, sentences: Vectors, paired: Paired, memory_bytes: int) -> None:
        self._sight, self._sentences, self._paired = sight, sentences, paired
        self._rows = max(1, memory_bytes // (HELD * sentences.dim))
        self.n_sentences = len(paired.sentences)

    def candidates(
        self, images: np.ndarray, among: np.ndarray, least: np.ndarray, n: int = _N_CANDIDATES
    ) -> Candidates:
        """Positions of sentences out of the kept ones at rows `among`, for images (m, d)."""
        paired = self._paired
        probed = None
        if len(among) > self._rows:
            with timed("pair: probes"):
                probed = probing(self._sight, images)
        parts: list[Candidates] = []
        for start, stop in shard_bounds(len(among), self._rows) or [(0, 0)]:
            some = among[start:stop]
            positions = paired.sentences[some]
            vectors = Rows(_Stored(self._sentences.at(positions)), len(positions))
            if READ_FOR_ONE * len(images) > len(positions):
                with timed("pair: read"):
                    vectors.read_all()
            with timed("pair: search"):
                found = search(
                    self._sight, images, vectors, keys=positions, clusters=paired.seen[some],
                    n_candidates=n, probed=probed, least=least,
                    heads=paired.heads[some],
                )  # fmt: skip
                parts = [merge([*parts, found], n_candidates=n)]
                least = above(least, parts[0])
        return parts[0]

    def texts(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Positions of sentences and similarities."""
        with timed("pair: choose"):
            keys = np.unique(candidates.keys[np.isfinite(candidates.scores)])
            texts = choose(
                candidates,
                keys=keys,
                vectors=self._sentences.unit(keys),
                n_texts=N_TEXTS,
                max_text_similarity=default(PairPlan, "max_text_similarity"),
            )
            return np.where(texts.positions >= 0, keys[texts.positions], -1), texts.similarities

    def keep(self, rows: np.ndarray, positions: np.ndarray, similarities: np.ndarray) -> None:
        self._paired.positions[rows], self._paired.similarities[rows] = positions, similarities

    def known(self, rows: np.ndarray) -> Candidates:
        """The texts of images as candidates."""
        shape = len(rows), _N_CANDIDATES
        positions, similarities = self._paired.positions[rows], self._paired.similarities[rows]
        known = Candidates(np.zeros(shape, np.int64), np.full(shape, -np.inf), np.zeros(shape[0], np.int64))
        known.keys[:, :N_TEXTS] = np.maximum(positions, 0)
        scores = similarities.astype(np.float64).round(6)
        known.scores[:, :N_TEXTS] = np.where(positions >= 0, scores, -np.inf)
        return known


def _update(search_of: _Search, images: np.ndarray, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Give images those new sentences that are better than a text they have; whether one is to be searched after all.

    A sentence worse than the last of an image's texts changes none of them.
    """
    had = search_of.known(rows)
    found = search_of.candidates(images, new, least=had.scores[:, N_TEXTS - 1])
    some = np.flatnonzero(np.isfinite(found.scores).any(axis=1))
    had, found = had.of(some), found.of(some)
    positions, similarities = search_of.texts(merge([had, found], n_candidates=_N_CANDIDATES))
    search_of.keep(rows[some], positions, similarities)
    is_displaced = np.zeros(len(rows), bool)
    is_displaced[some] = _is_displaced(had, positions, similarities)
    return is_displaced


def _last_scores(positions: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """(m,) scores of the last texts; -inf where one is missing."""
    return np.where(positions[:, -1] >= 0, similarities[:, -1].astype(np.float64).round(6), -np.inf)


def _is_displaced(known: Candidates, positions: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """(m,) whether a known text is out although it is better than the last that is in: a new one is too like it."""
    last = _last_scores(positions, similarities)
    is_in = (known.keys[:, :, None] == positions[:, None, :]).any(axis=2)
    return (np.isfinite(known.scores) & ~is_in & (known.scores > last[:, None])).any(axis=1)
