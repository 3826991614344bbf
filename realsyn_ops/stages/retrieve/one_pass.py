"""Hierarchical retrieval: an image goes to its nearest text clusters, and only their sentences are scored against it.

Inter-cluster, then intra-cluster, images of one cluster as one batch (the paper: one cluster an image, best three
sentences). The exact search over all sentences stands beside it, to measure what the shortcut loses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_SPARE = 8
"""Candidates kept beyond those wanted, so that texts too like a better one can be passed over."""


@dataclass(frozen=True)
class Candidates:
    """Per image (m, c): positions of sentences, best first (-1 behind the last), and their scores (m, c) float64."""

    positions: np.ndarray
    scores: np.ndarray

    def at(self, positions: np.ndarray) -> "Candidates":
        """The same candidates where sentence i has become sentence positions[i]."""
        named = np.append(positions, -1)[self.positions]
        return Candidates(named, self.scores)


def search(
    images: np.ndarray, probes: np.ndarray, sentences: np.ndarray, clusters: np.ndarray, *, n_candidates: int
) -> Candidates:
    """The best sentences of the clusters that each image probes; of a part of the sentences, for `merge`.

    images (m, d), sentences (n, d): float32 unit rows; probes (m, p) cluster ids; clusters (n,) the sentences' ids.
    Scores are float64, rounded to 6 digits; ties go to the smaller position. What is found of an image depends neither
    on the images nor on the sentences beside it.
    """
    positions = np.full((len(images), n_candidates), -1, np.int64)
    scores = np.full((len(images), n_candidates), -np.inf)
    order = np.argsort(clusters, kind="stable")
    bounds = np.searchsorted(clusters[order], np.arange(int(probes.max(initial=-1)) + 2))
    found = Candidates(positions, scores)
    for cluster in np.unique(probes):
        members = order[bounds[cluster] : bounds[cluster + 1]]
        if not len(members):
            continue
        asking = np.flatnonzero((probes == cluster).any(axis=1))
        products = images[asking] @ sentences[members].T
        width = min(n_candidates + _SPARE, len(members))
        top = np.argpartition(-products, width - 1, axis=1)[:, :width]
        near = members[top]
        exact_scores = np.einsum(
            "id,icd->ic", images[asking].astype(np.float64), sentences[near].astype(np.float64)
        ).round(6)
        best = _best(np.concatenate([positions[asking], near], axis=1),
                     np.concatenate([scores[asking], exact_scores], axis=1), n_candidates)  # fmt: skip
        positions[asking], scores[asking] = best.positions, best.scores
    return found


def merge(parts: Sequence[Candidates], n_candidates: int) -> Candidates:
    """The best candidates of several parts of the sentences; a sentence in two parts counts once."""
    positions = np.concatenate([part.positions for part in parts], axis=1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    order = np.argsort(positions, axis=1, kind="stable")
    ordered = np.take_along_axis(positions, order, axis=1)
    again = np.zeros(positions.shape, bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return _best(np.where(again, -1, positions), np.where(again, -np.inf, scores), n_candidates)


def choose(
    candidates: Candidates, vectors: Callable[[np.ndarray], np.ndarray], *, n_texts: int, max_text_similarity: float
) -> "Texts":
    """The best ``n_texts`` candidates of each image that are no more alike than ``max_text_similarity``.

    ``vectors`` gives the unit rows of sentences at positions (k,).
    """
    wanted, places = np.unique(candidates.positions, return_inverse=True)
    is_there = wanted >= 0
    rows = np.zeros((len(wanted), vectors(wanted[is_there][:1]).shape[1] if is_there.any() else 1), np.float32)
    rows[is_there] = vectors(wanted[is_there])
    places = places.reshape(candidates.positions.shape)
    positions = np.full((len(places), n_texts), -1, np.int64)
    similarities = np.zeros((len(places), n_texts), np.float32)
    for image, near in enumerate(places):
        near = near[candidates.positions[image] >= 0]
        chosen = _distinct(near, rows, n_texts, max_text_similarity)
        positions[image, : len(chosen)] = candidates.positions[image][chosen]
        similarities[image, : len(chosen)] = candidates.scores[image][chosen]
    return Texts(positions, similarities)


def recall_interval(found: "Texts", exact: "Texts") -> tuple[float, float]:
    """95% interval (Wilson) of the recall, an image's texts taken as one draw each."""
    n = int((exact.positions >= 0).sum())
    if n == 0:
        return 1.0, 1.0
    share, z = recall(found, exact), 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _best(positions: np.ndarray, scores: np.ndarray, n: int) -> Candidates:
    order = np.lexsort((positions, -scores), axis=1)[:, :n]
    return Candidates(np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1))


@dataclass(frozen=True)
class Texts:
    """Per image (m, k): positions of its sentences, best first (-1 where there are fewer), and similarities (m, k)."""

    positions: np.ndarray
    similarities: np.ndarray


def retrieve(
    images: np.ndarray,
    probes: np.ndarray,
    sentences: np.ndarray,
    clusters: np.ndarray,
    *,
    n_texts: int,
    max_text_similarity: float,
) -> Texts:
    """The best ``n_texts`` distinct sentences for each image among those of the clusters it probes.

    images (m, d), sentences (n, d): float32 unit rows; probes (m, p) cluster ids; clusters (n,) the sentences' ids.
    A sentence is passed over when its similarity to one already chosen is above ``max_text_similarity``.
    Candidates come from one matrix product a cluster and are scored again one by one in float64, so the answer does not
    depend on which images share a batch; ties go to the smaller position.
    """
    wanted = n_texts + _SPARE
    order = np.argsort(clusters, kind="stable")
    bounds = np.searchsorted(clusters[order], np.arange(int(probes.max(initial=-1)) + 2))
    best: list[list[np.ndarray]] = [[] for _ in range(len(images))]
    for cluster in np.unique(probes):
        members = order[bounds[cluster] : bounds[cluster + 1]]
        if len(members) == 0:
            continue
        asking = np.flatnonzero((probes == cluster).any(axis=1))
        scores = images[asking] @ sentences[members].T
        for row, asker in enumerate(asking.tolist()):
            top = _top(scores[row], members, wanted)
            best[asker].append(members[top])
    positions = np.full((len(images), n_texts), -1, np.int64)
    similarities = np.zeros((len(images), n_texts), np.float32)
    for image, found in enumerate(best):
        if not found:
            continue
        candidates = np.concatenate(found)
        vector = images[image].astype(np.float64)
        scores = np.einsum("ij,j->i", sentences[candidates].astype(np.float64), vector).round(6)
        top = _top(scores, candidates, len(candidates))
        chosen = _distinct(candidates[top], sentences, n_texts, max_text_similarity)
        positions[image, : len(chosen)] = candidates[top][chosen]
        similarities[image, : len(chosen)] = scores[top][chosen]
    return Texts(positions, similarities)


def recall(found: Texts, exact: Texts) -> float:
    """Share of the exact search's sentences that were found, over all images; 1 when there are none."""
    wanted = exact.positions >= 0
    hits = [np.isin(e[w], f).sum() for e, f, w in zip(exact.positions, found.positions, wanted, strict=True)]
    return float(sum(hits) / wanted.sum()) if wanted.any() else 1.0


def exact(images: np.ndarray, sentences: np.ndarray, *, n_texts: int, max_text_similarity: float) -> Texts:
    """What `retrieve` would find if every image probed every cluster."""
    return retrieve(
        images, np.zeros((len(images), 1), np.int64), sentences, np.zeros(len(sentences), np.int64),
        n_texts=n_texts, max_text_similarity=max_text_similarity,
    )  # fmt: skip


def _top(scores: np.ndarray, positions: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k highest scores, ties by position."""
    if len(scores) > k:
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= kth)
    else:
        kept = np.arange(len(scores))
    return kept[np.lexsort((positions[kept], -scores[kept]))][:k]


def _distinct(positions: np.ndarray, sentences: np.ndarray, n: int, max_similarity: float) -> list[int]:
    chosen: list[int] = []
    for i, position in enumerate(positions):
        if len(chosen) == n:
            break
        if all(sentences[position] @ sentences[positions[c]] <= max_similarity for c in chosen):
            chosen.append(i)
    return chosen
