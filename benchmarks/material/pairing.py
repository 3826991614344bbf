"""Texts for images as `operators/pair_rules.py` and `search.py` find them, without tables.

New images, and those that have lost a text, are searched over all sentences; the others see the new sentences.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.material.convergence import default, timed
from benchmarks.material.whole_corpus import Vectors
from realsyn_ops.plans import PairPlan
from realsyn_ops.stages.cluster import Quantizer
from realsyn_ops.stages.retrieve import Candidates, Sight, Texts, assign, choose, merge, search

N_TEXTS = int(default(PairPlan, "n_texts"))
_N_CANDIDATES = N_TEXTS + 8
_SEARCH_IMAGES = int(default(PairPlan, "search_images"))


@dataclass(frozen=True)
class Paired:
    """The kept records (positions, ascending), the clusters of the kept images, and their texts as positions of
    sentences."""

    images: np.ndarray
    sentences: np.ndarray
    clusters: np.ndarray
    texts: Texts


def pair_texts(
    images: Vectors, sentences: Vectors, kept: tuple[np.ndarray, np.ndarray], centroids: np.ndarray, sight: Sight, *,
    known: Paired | None, memory_bytes: int,
) -> tuple[Paired, dict[str, float]]:  # fmt: skip
    """Pairs of the kept images and sentences (positions); known: of the days before, in the same positions.

    And how many images were searched, and the share of the sentences that they looked at.
    """
    mine, among = kept
    shape = len(mine), N_TEXTS
    paired = Paired(mine, among, np.zeros(len(mine), np.int64), Texts(np.full(shape, -1), np.zeros(shape, np.float32)))
    searched, updated, new = changes(paired, known)
    search_of = _Search(sight, sentences, memory_bytes)
    with timed("pair: clusters"):
        quantizer = Quantizer(centroids)
    order = np.concatenate([searched, updated])
    scored = 0
    n_searched = 0
    for start in range(0, len(order), _SEARCH_IMAGES):
        rows = np.sort(order[start : start + _SEARCH_IMAGES])
        vectors = images.unit(mine[rows])
        is_searched = np.isin(rows, searched)
        if not is_searched.all():
            some = np.flatnonzero(~is_searched)
            is_searched[some] = _update(search_of, vectors[some], rows[some], new, paired, known)
        some = np.flatnonzero(is_searched)
        if len(some):
            found = search_of.candidates(vectors[some], among)
            paired.texts.positions[rows[some]], paired.texts.similarities[rows[some]] = search_of.texts(found)
            scored += int(found.n_scored.sum())
            n_searched += len(some)
        with timed("pair: clusters"):
            paired.clusters[rows] = quantizer.assign(vectors)[0][:, 0]
    return paired, {"n_searched": n_searched, "share_scored": scored / max(1, n_searched * len(among))}


def changes(paired: Paired, known: Paired | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the kept images to search and to update, and the positions of new sentences."""
    everything = np.arange(len(paired.images))
    if known is None:
        return everything, everything[:0], paired.sentences
    gone = np.setdiff1d(known.sentences, paired.sentences)
    has_lost = np.isin(known.texts.positions, gone).any(axis=1)
    is_searched = ~np.isin(paired.images, known.images[~has_lost])
    new = np.setdiff1d(paired.sentences, known.sentences)
    return everything[is_searched], everything[~is_searched] if len(new) else everything[:0], new


class _Search:
    """As `operators.search.Search`, through the frozen sight."""

    def __init__(self, sight: Sight, sentences: Vectors, memory_bytes: int) -> None:
        self._sight, self._sentences = sight, sentences
        self._rows = max(1, memory_bytes // 3 // (4 * sentences.dim))

    def candidates(self, images: np.ndarray, among: np.ndarray) -> Candidates:
        parts: list[Candidates] = []
        for start in range(0, max(1, len(among)), self._rows):
            positions = among[start : start + self._rows]
            with timed("pair: read"):
                vectors = self._sentences.unit(positions)
            with timed("pair: assign"):
                clusters = assign(self._sight, vectors)
            with timed("pair: search"):
                parts.append(
                    search(self._sight, images, vectors, keys=positions, clusters=clusters, n_candidates=_N_CANDIDATES)
                )
                parts = [merge(parts, n_candidates=_N_CANDIDATES)]
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


def _update(
    search_of: _Search, images: np.ndarray, rows: np.ndarray, new: np.ndarray, paired: Paired, known: Paired | None
) -> np.ndarray:
    """Texts of images out of the known ones and the new sentences; whether an image is to be searched after all."""
    assert known is not None  # noqa: S101
    before = np.searchsorted(known.images, paired.images[rows])
    texts = Texts(known.texts.positions[before], known.texts.similarities[before])
    found = search_of.candidates(images, new)
    had = _as_candidates(texts, found.keys.dtype)
    positions, similarities = search_of.texts(merge([had, found], n_candidates=_N_CANDIDATES))
    paired.texts.positions[rows], paired.texts.similarities[rows] = positions, similarities
    return _is_displaced(had, positions, similarities)


def _as_candidates(texts: Texts, dtype: np.dtype) -> Candidates:
    shape = len(texts.positions), _N_CANDIDATES
    known = Candidates(np.zeros(shape, dtype), np.full(shape, -np.inf), np.zeros(shape[0], np.int64))
    known.keys[:, :N_TEXTS] = np.maximum(texts.positions, 0)
    scores = texts.similarities.astype(np.float64).round(6)
    known.scores[:, :N_TEXTS] = np.where(texts.positions >= 0, scores, -np.inf)
    return known


def _is_displaced(known: Candidates, positions: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """(m,) whether a known text is out although it is better than the last that is in: a new one is too like it."""
    last = np.where(positions[:, -1] >= 0, similarities[:, -1].astype(np.float64).round(6), -np.inf)
    is_in = (known.keys[:, :, None] == positions[:, None, :]).any(axis=2)
    return (np.isfinite(known.scores) & ~is_in & (known.scores > last[:, None])).any(axis=1)
