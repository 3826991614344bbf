"""Few sentences for many images that want only what is better than they have: a day's for those of all days before.

Cluster by cluster an image's head would be read for each cluster that it probes, to meet the sentence or two there. So
the heads of all pairs meet in one product; what it leaves, a pair in some thousands, is scored, and only the images
of what is left then are asked which clusters they probe. The answer is that of the search by clusters.
"""

import numpy as np

from realsyn_ops.stages.retrieve.best import ERROR, Corpus
from realsyn_ops.stages.retrieve.sight import Sight, probes

_ROWS, _COLUMNS = 1_024, 512


def newcomers(
    sight: Sight, corpus: Corpus, clusters: np.ndarray, images: np.ndarray, heads: np.ndarray, n: int, *,
    least: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Positions (-1 for none) and scores (m, n) of the best sentences of each image with at least its `least` (m,).

    clusters: of the sentences.
    """
    first, second = _above(corpus, images, heads, least - ERROR)
    scores = corpus.exact(images, first, second)
    kept = scores >= least[first]
    kept[kept] = _is_probed(sight, images, first[kept], clusters[second[kept]])
    first, second, scores = first[kept], second[kept], scores[kept]
    order = np.lexsort((corpus.rank[second], -scores, first))
    first, second, scores = first[order], second[order], scores[order]
    place = np.arange(len(first)) - np.searchsorted(first, first)
    best = place < n
    positions, found = np.full((len(images), n), -1, np.int64), np.full((len(images), n), -np.inf)
    positions[first[best], place[best]], found[first[best], place[best]] = second[best], scores[best]
    return positions, found


def _above(corpus: Corpus, images: np.ndarray, heads: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of images and sentences whose float32 cosine is no less than the image's floor (m,)."""
    others = np.column_stack([corpus.heads, np.ones(len(corpus.heads))]).astype(np.float32)
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for top in range(0, len(images), _ROWS):
        rows = slice(top, top + _ROWS)
        mine = np.column_stack([heads[rows], corpus.slack - floor[rows]]).astype(np.float32)
        found = [np.empty((2, 0), np.int64)]
        for begin in range(0, len(others), _COLUMNS):
            some = others[begin : begin + _COLUMNS]
            i, j = np.divmod(np.flatnonzero(mine @ some.T >= 0), len(some))
            found.append(np.stack([i + top, j + begin]))
        first, second = np.concatenate(found, axis=1)
        is_above = corpus.scores(images, first, second) >= floor[first]
        firsts.append(first[is_above])
        seconds.append(second[is_above])
    return np.concatenate(firsts), np.concatenate(seconds)


def _is_probed(sight: Sight, images: np.ndarray, first: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """(k,) whether image first[i] probes clusters[i]."""
    asked, rows = np.unique(first, return_inverse=True)
    lists = probes(sight, images[asked])
    limits = np.cumsum([0, *(len(near) for near in lists)])
    probed = np.repeat(np.arange(len(lists)), np.diff(limits)) * sight.n_clusters + np.concatenate([[], *lists])
    return np.isin(rows * sight.n_clusters + clusters, probed)
