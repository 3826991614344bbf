"""Hierarchical retrieval: an image goes to its nearest text clusters, and only their sentences are scored against it.

Inter-cluster, then intra-cluster, images of one cluster as one batch (the paper: one cluster an image, best three
sentences). The exact search over all sentences stands beside it, to measure what the shortcut loses.
"""

from dataclasses import dataclass

import numpy as np

_SPARE = 8
"""Candidates kept beyond those wanted, so that texts too like a better one can be passed over."""


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
