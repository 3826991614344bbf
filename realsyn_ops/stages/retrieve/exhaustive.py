"""The exact search, every sentence scored: what the shortcut is measured against."""

import numpy as np

from realsyn_ops.stages.retrieve.candidates import Candidates

_BLOCK = 256
_SPARE = 8


def score_all(images: np.ndarray, sentences: np.ndarray, *, keys: np.ndarray, n_candidates: int) -> Candidates:
    """The best `n_candidates` of these sentences for each image, by `search`'s scores and order.

    images (m, d), sentences (n, d): float32 unit rows; keys (n,) ascending. Parts of the sentences merge like those of
    `search`.
    """
    found = Candidates(
        np.zeros((len(images), n_candidates), keys.dtype),
        np.full((len(images), n_candidates), -np.inf),
        np.full(len(images), len(sentences), np.int64),
    )
    width = min(n_candidates + _SPARE, len(sentences))
    if not width:
        return found
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        near = np.argpartition(-(block @ sentences.T), width - 1, axis=1)[:, :width]
        scores = np.einsum("md,mkd->mk", block.astype(np.float64), sentences[near].astype(np.float64)).round(6)
        best = np.lexsort((near, -scores), axis=1)[:, :n_candidates]
        rows = slice(start, start + len(block))
        found.keys[rows, : best.shape[1]] = keys[np.take_along_axis(near, best, axis=1)]
        found.scores[rows, : best.shape[1]] = np.take_along_axis(scores, best, axis=1)
    return found
