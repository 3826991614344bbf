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
_BLOCK = 4_096
_SCANNED = 1_024
_SPARE = 4
"""Candidates scored in float64 beyond those wanted."""
_ERROR = 1e-5
"""Float32 products of unit rows are closer than this to the exact ones."""
_CODE_LOSS = 0.12
"""What codes lose of an image that the basis shows wholly, beside one that it does not show at all."""
_MAX_LOOKED_UP = 4_000_000
_PRODUCTS = 8_192
_HEAD = 16
"""Of those, scored exactly at once; of the others only those whose code leaves them a chance."""
_GROWTH = 16
_WIDTH = 40
"""Sentences looked up by code for each one wanted, at first."""


@dataclass(frozen=True)
class Candidates:
    """Per image its best sentences, (m, n): keys, scores; -inf where there are fewer. n_scored (m,): looked at."""

    keys: np.ndarray
    scores: np.ndarray
    n_scored: np.ndarray


def search(
    sight: Sight,
    images: np.ndarray,
    sentences: np.ndarray,
    *,
    keys: np.ndarray,
    clusters: np.ndarray,
    n_candidates: int,
    probed: Sequence[np.ndarray] | None = None,
) -> Candidates:
    """The best `n_candidates` of these sentences for each image: by cosine rounded to six digits, ties by key.

    images (m, d), sentences (n, d): unit rows, any float; keys (n,), which sort; clusters (n,) by `assign`.
    The sentences may be any part of all: those of a day, or of some clusters. `probed`: instead of `probes(sight, .)`.
    """
    found = Candidates(
        np.zeros((len(images), n_candidates), keys.dtype),
        np.full((len(images), n_candidates), -np.inf),
        np.zeros(len(images), np.int64),
    )
    if len(sentences) == 0:
        return found
    sentences = np.ascontiguousarray(sentences, np.float32)
    rank = np.empty(len(keys), np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    index = _index(sight, sentences, clusters)
    sizes = np.bincount(clusters, minlength=sight.n_clusters)
    for start in range(0, len(images), _BLOCK):
        rows = slice(start, start + _BLOCK)
        vectors = np.ascontiguousarray(images[rows], np.float32)
        lists = probes(sight, vectors) if probed is None else probed[rows]
        lists = [near[sizes[near] > 0] for near in lists]
        positions, scores = _search(sight, index, vectors, lists, sentences, rank, n_candidates)
        found.keys[rows] = np.where(positions < 0, found.keys[rows], keys[positions])
        found.scores[rows] = scores
        found.n_scored[rows] = [sizes[filled].sum() for filled in lists]
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
    sentences: np.ndarray,
    rank: np.ndarray,
    n: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and scores of the best n: looks up more by code until none can be missing."""
    positions = np.full((len(images), n), -1, np.int64)
    scores = np.full((len(images), n), -np.inf)
    queries = seen_by_code(sight, images) if sight.has_codes else images
    margins = sight.margin * unseen_share(sight, images) if sight.has_codes else np.full(len(images), np.inf)
    known = np.full(len(images), -np.inf)
    waiting = [(np.arange(len(images)), _WIDTH * n, n + _SPARE)]
    while waiting:
        pending, width, kept = waiting.pop()
        if (limit := max(1, _MAX_LOOKED_UP // width)) < len(pending):
            waiting += [(pending[limit:], width, kept), (pending[:limit], width, kept)]
            continue
        width = min(width, len(sentences))
        ids, approximate = _scan(index, queries[pending], [lists[i] for i in pending], width)
        margin = margins[pending, None]
        is_last = ids[:, -1] < 0
        asking, allowed = images[pending], margin if sight.has_codes else 0.0
        head = min(width, n + _HEAD)
        exact = np.full(ids.shape, -np.inf, np.float32)
        exact[:, :head] = _products(asking, sentences, ids[:, :head])
        exact[:, :head][exact[:, :head] - approximate[:, :head] > margin - _ERROR] = -np.inf
        if head >= n:
            bound = np.maximum(known[pending], np.partition(exact[:, :head], head - n, axis=1)[:, head - n])
            ids[:, head:][approximate[:, head:] + allowed < bound[:, None] - 2 * _ERROR] = -1
        exact = _products(asking, sentences, ids)
        exact[exact - approximate > margin + _ERROR] = -np.inf
        kept = min(kept, width) if width < len(sentences) else width
        order = np.argpartition(-exact, kept - 1, axis=1)[:, :kept]
        kept_ids, kept_exact = np.take_along_axis(ids, order, axis=1), np.take_along_axis(exact, order, axis=1)
        fine = _exact(asking, sentences, np.where(np.isfinite(kept_exact), kept_ids, -1))
        underrated = fine - np.take_along_axis(approximate, order, axis=1).astype(np.float64) > margin
        fine[underrated] = -np.inf
        best = np.lexsort((rank[kept_ids], -fine), axis=1)[:, :n]
        answer, score = np.take_along_axis(kept_ids, best, axis=1), np.take_along_axis(fine, best, axis=1)
        last = score[:, -1] if score.shape[1] == n else np.full(len(pending), -np.inf)
        slack = _ERROR + (margin[:, 0] if sight.has_codes else 0.0)
        unseen = np.where(is_last, -np.inf, approximate[:, -1].astype(np.float64) + slack)
        unkept = np.where(kept < width, kept_exact.min(axis=1) + _ERROR, -np.inf)
        is_whole = np.maximum(unseen, unkept) < last
        is_whole |= (unseen == -np.inf) & (unkept == -np.inf) | (width == len(sentences))
        done = pending[is_whole]
        positions[done, : answer.shape[1]] = np.where(np.isfinite(score), answer, -1)[is_whole]
        scores[done, : score.shape[1]] = score[is_whole]
        if not is_whole.all():
            known[pending] = last
            waiting.append((pending[~is_whole], width * _GROWTH, kept * _SPARE))
    return positions, scores


def _scan(index: Any, queries: np.ndarray, lists: list[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of the lists by code: positions (m, k), -1 where there are fewer, and scores, best first."""
    ids, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    by_length = np.argsort([len(clusters) for clusters in lists], kind="stable")
    for part in np.array_split(by_length, max(1, len(by_length) // _SCANNED)):
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
    d = sight.rotation.shape[0] if sight.has_codes else sentences.shape[1]
    coarse = faiss.IndexFlatIP(d)
    coarse.add(np.zeros((n_lists, d), np.float32))
    if not sight.has_codes:
        index: Any = faiss.IndexIVFFlat(coarse, d, n_lists, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexIVFPQ(coarse, d, n_lists, len(sight.quantizer), 4, faiss.METRIC_INNER_PRODUCT)
        index.by_residual = False
        faiss.copy_array_to_vector(np.ascontiguousarray(sight.quantizer, np.float32).ravel(), index.pq.centroids)
    index.is_trained = True
    lists = np.ascontiguousarray(clusters, np.int64)
    for start in range(0, len(sentences), 65_536):
        rows = sentences[start : start + 65_536]
        part = coded(sight, rows) if sight.has_codes else np.ascontiguousarray(rows, np.float32)
        ids = np.arange(start, start + len(rows))
        places = lists[start : start + len(rows)]
        index.add_core(len(rows), *(faiss.swig_ptr(a) for a in (part, ids, places)))
    if not sight.has_codes:
        return index
    scanned: Any = faiss.IndexIVFPQFastScan(index)
    scanned.referenced_objects = [coarse]
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


def _products(images: np.ndarray, sentences: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(m, k) float32 cosines of the images and of their sentences, -inf where the id is -1."""
    products, ids = np.empty(ids.shape, np.float32), np.ascontiguousarray(ids)
    _faiss.fvec_inner_products_by_idx(
        faiss.swig_ptr(products), faiss.swig_ptr(images), faiss.swig_ptr(sentences),
        faiss.swig_ptr(ids), images.shape[1], *ids.shape,
    )  # fmt: skip
    products[ids < 0] = -np.inf
    return products


def _exact(images: np.ndarray, sentences: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(m, k) cosines of the images and of their sentences, each by itself in float64 to six digits; -inf for -1."""
    scores = np.full(ids.shape, -np.inf)
    rows, places = np.nonzero(ids >= 0)
    for start in range(0, len(rows), _PRODUCTS):
        row, place = rows[start : start + _PRODUCTS], places[start : start + _PRODUCTS]
        pairs = images[row].astype(np.float64), sentences[ids[row, place]].astype(np.float64)
        scores[row, place] = np.einsum("pd,pd->p", *pairs)
    return scores.round(6)
