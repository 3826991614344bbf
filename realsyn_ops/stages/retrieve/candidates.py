"""The best sentences for each image among those of the clusters it probes, and how parts of that answer are merged.

For a frozen `Sight` an image's answer is a function of the image and of the *set* of sentences: however they are split
into days and buckets, the merged answers of the parts are the answer of the whole. Codes must not break that. "The best
by code, then scored exactly" would, since who is among the best by code depends on the others. So a sentence whose code
underrates it by more than `margin` is *not found*, by anyone, ever; of all others the best are, by exact score. The
score by code is faiss' fast scan: one table of a byte per query and code, sums of integers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from realsyn_ops.stages.retrieve.sight import Sight, probes, project

_faiss: Any = faiss
"""Its stubs do not know everything."""
_BLOCK = 2_048
_SPARE = 8
"""Candidates scored in float64 beyond those wanted."""
_ERROR = 1e-5
"""Float32 products of unit rows are closer than this to the exact ones."""
_CODE_LOSS = 0.12
"""What codes lose of an image that the basis shows wholly, beside one that it does not show at all."""
_MAX_LOOKED_UP = 1_000_000
_WIDTH = 4
"""Sentences looked up by code for each one wanted, at first."""


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
    codes: np.ndarray | None = None,
    least: np.ndarray | None = None,
) -> Candidates:
    """The best `n_candidates` of these sentences for each image: by cosine rounded to six digits, ties by key.

    images (m, d), sentences (n, d): unit rows, any float; keys (n,), which sort; clusters (n,) by `assign`.
    The sentences may be any part of all: those of a day, or of some clusters. `probed`: instead of `probes(sight, .)`.
    codes (n, c): `sentence_codes`, where they are at hand; of the sentences, which need not be an array then but only
    give rows at positions (k,), those are read that are scored. least (m,): scores below which an image wants none.
    """
    found = Candidates(
        np.zeros((len(images), n_candidates), keys.dtype),
        np.full((len(images), n_candidates), -np.inf),
        np.zeros(len(images), np.int64),
    )
    if len(keys) == 0:
        return found
    if codes is None:
        sentences = np.ascontiguousarray(sentences, np.float32)
    rank = np.empty(len(keys), np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    index = _index(sight, sentences, clusters) if codes is None else _index_of_codes(sight, codes, clusters)
    sizes = np.bincount(clusters, minlength=sight.n_clusters)
    least = np.full(len(images), -np.inf) if least is None else least
    for start in range(0, len(images), _BLOCK):
        rows = slice(start, start + _BLOCK)
        vectors = np.ascontiguousarray(images[rows], np.float32)
        lists, found.n_scored[rows] = _filled(probes(sight, vectors) if probed is None else probed[rows], sizes)
        positions, scores = _search(sight, index, vectors, lists, sentences, rank, n_candidates, least[rows])
        found.keys[rows] = np.where(positions < 0, found.keys[rows], keys[positions])
        found.scores[rows] = scores
    return found


def sentence_codes(sight: Sight, sentences: np.ndarray) -> np.ndarray:
    """(n, c) uint8: what `search` looks at first, of a sight that has codes. Worth keeping beside the clusters."""
    index: Any = _pq_index(sight, 1)
    codes = np.empty((len(sentences), index.code_size), np.uint8)
    for start in range(0, len(sentences), 65_536):
        codes[start : start + 65_536] = index.pq.compute_codes(coded(sight, sentences[start : start + 65_536]))
    return codes


def _filled(lists: Sequence[np.ndarray], sizes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """The clusters of each list that have sentences, and how many sentences those are (m,)."""
    clusters = np.concatenate(lists)
    image = np.repeat(np.arange(len(lists)), [len(near) for near in lists])
    is_filled = sizes[clusters] > 0
    ends = np.cumsum(np.bincount(image[is_filled], minlength=len(lists)))
    return np.split(clusters[is_filled], ends[:-1]), np.bincount(image, sizes[clusters], minlength=len(lists))


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


def underrating(sight: Sight, images: np.ndarray, sentences: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(m, k): by how much codes underrate these sentences (m, k) for the images, in units of the margin."""
    m, k = ids.shape
    index = _index(sight, sentences[ids.ravel()], np.repeat(np.arange(m), k), n_lists=m)
    places, by_code = _scan(index, seen_by_code(sight, images), list(np.arange(m)[:, None]), k)
    by_code = np.take_along_axis(by_code, np.argsort(places, axis=1), axis=1)
    return (_exact(images, sentences, ids) - by_code) / unseen_share(sight, images)[:, None]


def _search(
    sight: Sight,
    index: Any,
    images: np.ndarray,
    lists: list[np.ndarray],
    sentences: Any,
    rank: np.ndarray,
    n: int,
    least: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and scores of the best n: looks up more by code until none can be missing."""
    positions = np.full((len(images), n), -1, np.int64)
    scores = np.full((len(images), n), -np.inf)
    queries = seen_by_code(sight, images) if sight.has_codes else images
    margins = sight.margin * unseen_share(sight, images) if sight.has_codes else np.full(len(images), np.inf)
    waiting = [(np.arange(len(images)), _WIDTH * n)]
    while waiting:
        pending, width = waiting.pop()
        if (limit := max(1, _MAX_LOOKED_UP // width)) < len(pending):
            waiting += [(pending[limit:], width), (pending[:limit], width)]
            continue
        width = min(width, len(rank))
        ids, approximate = _scan(index, queries[pending], [lists[i] for i in pending], width)
        hopeful = np.flatnonzero(approximate[:, 0] + margins[pending] + _ERROR >= least[pending])
        pending, ids, approximate = pending[hopeful], ids[hopeful], approximate[hopeful]
        if not len(pending):
            continue
        asking = images[pending]
        read, places = (sentences, ids) if isinstance(sentences, np.ndarray) else _read(sentences, ids)
        exact = np.empty(ids.shape, np.float32)
        _faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(exact), faiss.swig_ptr(asking), faiss.swig_ptr(read),
            faiss.swig_ptr(places), images.shape[1], len(pending), width,
        )  # fmt: skip
        exact[ids < 0] = -np.inf
        margin = margins[pending, None]
        exact[(exact - approximate > margin + _ERROR) | (exact + _ERROR < least[pending, None])] = -np.inf
        kept = min(width, max(n + _SPARE, width // 16 if width < len(rank) else width))
        order = np.argpartition(-exact, kept - 1, axis=1)[:, :kept]
        kept_ids, kept_exact = np.take_along_axis(ids, order, axis=1), np.take_along_axis(exact, order, axis=1)
        fine = np.full(kept_exact.shape, -np.inf)
        some = np.flatnonzero(np.isfinite(kept_exact).any(axis=1))
        fine[some] = _exact(asking[some], read, np.take_along_axis(places, order, axis=1)[some])
        underrated = fine - np.take_along_axis(approximate, order, axis=1).astype(np.float64) > margin
        fine[underrated | ~np.isfinite(kept_exact)] = -np.inf
        best = np.lexsort((rank[kept_ids], -fine), axis=1)[:, :n]
        answer, score = np.take_along_axis(kept_ids, best, axis=1), np.take_along_axis(fine, best, axis=1)
        last = score[:, -1] if score.shape[1] == n else np.full(len(pending), -np.inf)
        last = np.maximum(last, least[pending])
        slack = _ERROR + (margin[:, 0] if sight.has_codes else 0.0)
        unseen = np.where(ids[:, -1] < 0, -np.inf, approximate[:, -1].astype(np.float64) + slack)
        unkept = np.where(kept < width, kept_exact.min(axis=1) + _ERROR, -np.inf)
        is_whole = np.maximum(unseen, unkept) < last
        is_whole |= (unseen == -np.inf) & (unkept == -np.inf) | (width == len(rank))
        done = pending[is_whole]
        positions[done, : answer.shape[1]] = np.where(np.isfinite(score), answer, -1)[is_whole]
        scores[done, : score.shape[1]] = score[is_whole]
        if not is_whole.all():
            waiting.append((pending[~is_whole], width * 4))
    return positions, scores


def _read(sentences: Any, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of these sentences (m, k), -1 for none, and where each of them stands among the rows."""
    needed = np.unique(np.maximum(ids, 0))
    places = np.where(ids < 0, -1, np.searchsorted(needed, ids))
    return np.ascontiguousarray(sentences[needed], np.float32), places


def _scan(index: Any, queries: np.ndarray, lists: list[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of the lists by code: positions (m, k), -1 where there are fewer, and scores, best first."""
    ids, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    by_length = np.argsort([len(clusters) for clusters in lists], kind="stable")
    for part in np.array_split(by_length, max(1, len(by_length) // 256)):
        width = max((len(lists[i]) for i in part), default=1) or 1
        probed = np.full((len(part), width), -1, np.int64)
        for row, i in enumerate(part):
            probed[row, : len(lists[i])] = lists[i]
        index.nprobe = width
        distances = np.zeros(probed.shape, np.float32)
        scores[part], ids[part] = index.search_preassigned(queries[part], k, probed, distances)
    return ids, scores


def _index(sight: Sight, sentences: np.ndarray, clusters: np.ndarray, n_lists: int | None = None) -> Any:
    """An inverted file of the sentences: of their codes, or of themselves where there are no codes."""
    n_lists = n_lists or sight.n_clusters
    index: Any
    if sight.has_codes:
        index = _pq_index(sight, n_lists)
    else:
        coarse = _coarse(n_lists, sentences.shape[1])
        index = faiss.IndexIVFFlat(coarse, sentences.shape[1], n_lists, faiss.METRIC_INNER_PRODUCT)
        index.referenced_objects = [coarse]
        index.is_trained = True
    lists = np.ascontiguousarray(clusters, np.int64)
    for start in range(0, len(sentences), 65_536):
        rows = sentences[start : start + 65_536]
        part = coded(sight, rows) if sight.has_codes else np.ascontiguousarray(rows, np.float32)
        ids = np.arange(start, start + len(rows))
        places = lists[start : start + len(rows)]
        index.add_core(len(rows), *(faiss.swig_ptr(a) for a in (part, ids, places)))
    return _scanned(index) if sight.has_codes else index


def _index_of_codes(sight: Sight, codes: np.ndarray, clusters: np.ndarray) -> Any:
    """What `_index` makes of the sentences that have these codes."""
    index = _pq_index(sight, sight.n_clusters)
    order = np.argsort(clusters, kind="stable")
    limits = np.searchsorted(clusters[order], np.arange(sight.n_clusters + 1))
    for cluster in np.flatnonzero(np.diff(limits)):
        ids = order[limits[cluster] : limits[cluster + 1]]
        part = np.ascontiguousarray(codes[ids])
        index.invlists.add_entries(int(cluster), len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(part))
    index.ntotal = len(codes)
    return _scanned(index)


def _pq_index(sight: Sight, n_lists: int) -> Any:
    d = sight.rotation.shape[0]
    coarse = _coarse(n_lists, d)
    index: Any = faiss.IndexIVFPQ(coarse, d, n_lists, len(sight.quantizer), 4, faiss.METRIC_INNER_PRODUCT)
    index.referenced_objects = [coarse]
    index.by_residual = False
    faiss.copy_array_to_vector(np.ascontiguousarray(sight.quantizer, np.float32).ravel(), index.pq.centroids)
    index.is_trained = True
    return index


def _coarse(n_lists: int, d: int) -> Any:
    coarse = faiss.IndexFlatIP(d)
    coarse.add(np.zeros((n_lists, d), np.float32))
    return coarse


def _scanned(index: Any) -> Any:
    scanned: Any = faiss.IndexIVFPQFastScan(index)
    scanned.referenced_objects = index.referenced_objects
    return scanned


def coded(sight: Sight, vectors: np.ndarray) -> np.ndarray:
    """What is coded: the rotated coordinates, on a grid so that they are the same in any call."""
    return np.ascontiguousarray((project(sight.basis, vectors) @ sight.rotation).round(5), np.float32)


def seen_by_code(sight: Sight, images: np.ndarray) -> np.ndarray:
    """What is compared with codes: scores then come out as large as the exact ones."""
    return coded(sight, images) * np.float32(sight.slope)


def unseen_share(sight: Sight, images: np.ndarray) -> np.ndarray:
    """(m,) how much of each image the basis does not show: what the codes are allowed to lose goes with it."""
    seen = (project(sight.basis, images) ** 2).sum(axis=1)
    return np.hypot(np.sqrt(np.maximum(1 - seen, 0)), _CODE_LOSS).round(6)


def _exact(images: np.ndarray, sentences: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(m, k) cosines of the images and of their sentences, each by itself in float64, to six digits."""
    scores = np.empty(ids.shape)
    step = max(1, _MAX_LOOKED_UP // (32 * max(1, ids.shape[1])))
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        vectors = sentences[ids[rows]].astype(np.float64)
        scores[rows] = np.einsum("md,mkd->mk", images[rows].astype(np.float64), vectors)
    return scores.round(6)
