"""Which of an image's candidates become its realistic texts: distinct ones, not its own document's, not worn out."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from realsyn_ops.stages.retrieve.candidates import Candidates

_BLOCK = 4_096


@dataclass(frozen=True)
class Texts:
    """Per image (m, k): positions of its sentences, best first (-1 where there are fewer), and similarities (m, k)."""

    positions: np.ndarray
    similarities: np.ndarray


def choose(
    candidates: Candidates,
    *,
    keys: np.ndarray,
    vectors: np.ndarray,
    n_texts: int,
    max_text_similarity: float,
    refused: np.ndarray | None = None,
    max_uses: int | None = None,
) -> Texts:
    """The best `n_texts` candidates of each image of which none is too like a better one; positions in `keys`.

    keys: ascending, vectors: their unit rows, of all candidates at least. refused (m, k): candidates not to be taken,
    as from `own_documents`. With `max_uses` images take turns by score (then key, then row), and no sentence is taken
    more often: an image's texts then depend on all the others', so that every change anywhere asks for a full run.
    Without it each image's texts are its own affair.
    """
    positions = np.searchsorted(keys, candidates.keys)
    is_open = np.isfinite(candidates.scores)
    if refused is not None:
        is_open &= ~refused
    if max_uses is None:
        return _distinct(positions, candidates.scores, is_open, vectors, n_texts, max_text_similarity)
    return _taking_turns(positions, candidates.scores, is_open, vectors, n_texts, max_text_similarity, max_uses)


def own_documents(
    candidates: Candidates, image_documents: Sequence[Set[str]], sentence_documents: Mapping[str, Set[str]]
) -> np.ndarray:
    """(m, k) whether a candidate stands in a document that the image stands in too."""
    return np.array(
        [
            [not own.isdisjoint(sentence_documents.get(key, frozenset())) for key in row]
            for row, own in zip(candidates.keys.tolist(), image_documents, strict=True)
        ],
        bool,
    ).reshape(candidates.keys.shape)


def _distinct(
    positions: np.ndarray, scores: np.ndarray, is_open: np.ndarray, vectors: np.ndarray, n_texts: int, limit: float
) -> Texts:
    chosen = Texts(np.full((len(positions), n_texts), -1, np.int64), np.zeros((len(positions), n_texts), np.float32))
    for start in range(0, len(positions), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(positions)))
        count = np.zeros(len(rows), np.int64)
        for rank in range(positions.shape[1]):
            asking = np.flatnonzero(is_open[rows, rank] & (count < n_texts))
            images, candidate = rows[asking], positions[rows[asking], rank]
            taken = chosen.positions[images]
            like = np.einsum("md,mtd->mt", vectors[candidate].astype(np.float64), vectors[taken].astype(np.float64))
            fits = ~((like > limit) & (taken >= 0)).any(axis=1)
            chosen.positions[images[fits], count[asking[fits]]] = candidate[fits]
            chosen.similarities[images[fits], count[asking[fits]]] = scores[images[fits], rank]
            count[asking[fits]] += 1
    return chosen


def _taking_turns(
    positions: np.ndarray,
    scores: np.ndarray,
    is_open: np.ndarray,
    vectors: np.ndarray,
    n_texts: int,
    limit: float,
    max_uses: int,
) -> Texts:
    chosen = Texts(np.full((len(positions), n_texts), -1, np.int64), np.zeros((len(positions), n_texts), np.float32))
    count, uses = np.zeros(len(positions), np.int64), Counter[int]()
    images, ranks = np.nonzero(is_open)
    for turn in np.lexsort((images, positions[images, ranks], -scores[images, ranks])).tolist():
        image, rank = images[turn], ranks[turn]
        candidate = int(positions[image, rank])
        if count[image] == n_texts or uses[candidate] == max_uses:
            continue
        taken = chosen.positions[image, : count[image]]
        like = np.einsum("td,d->t", vectors[taken].astype(np.float64), vectors[candidate].astype(np.float64))
        if (like > limit).any():
            continue
        chosen.positions[image, count[image]] = candidate
        chosen.similarities[image, count[image]] = scores[image, rank]
        count[image] += 1
        uses[candidate] += 1
    return chosen
