"""Near-duplicates: identify groups and say of each member why it belongs to its survivor; removing is the caller's.

The paper joins duplicates by union-find and gives no thresholds (Real-World Data Extraction). Union-find alone chains
strangers together; here a record is a duplicate only of a survivor that is itself within the threshold. Survivors are
chosen by rank, best first, and take every neighbour not taken yet: canonical whatever the order of arrival, and no two
survivors are near-duplicates of each other.
"""

import hashlib
from dataclasses import dataclass

import faiss
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from realsyn_ops.records import Reason

_BLOCK = 4_096
_HASH_BANDS = 8


@dataclass(frozen=True)
class Groups:
    """Per record (n,): its survivor's position (its own for a survivor), the similarity to it, the reason (None for a
    survivor), and the number of records its component of near-duplicate links holds."""

    survivor: np.ndarray
    similarity: np.ndarray
    reason: list[Reason | None]
    component_size: np.ndarray


def near_duplicates(
    vectors: np.ndarray,
    *,
    rank: np.ndarray,
    min_similarity: float,
    identities: np.ndarray | None = None,
    max_hash_distance: int = 0,
) -> Groups:
    """Group n records by cosine similarity and by identity.

    vectors: (n, d) float32 unit rows. rank: (n,) position of each record from best to worst, all distinct.
    identities: (n,) uint64, perceptual hashes or hashes of normalised text: records within ``max_hash_distance`` bits
    are perceptual duplicates. Similarity of an edge is the cosine in both cases.
    """
    n = len(vectors)
    perceptual = _hash_edges(identities, max_hash_distance) if identities is not None else _no_edges()
    semantic = _cosine_edges(vectors, min_similarity)
    is_perceptual = {(int(a), int(b)) for a, b in perceptual}
    edges = np.unique(np.concatenate([perceptual, semantic]), axis=0)
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    survivor = np.full(n, -1, np.int64)
    reason: list[Reason | None] = [None] * n
    for i in np.argsort(rank).tolist():
        if survivor[i] >= 0:
            continue
        survivor[i] = i
        for j in neighbours[i]:
            if survivor[j] < 0:
                survivor[j] = i
                pair = (min(i, j), max(i, j))
                reason[j] = Reason.PERCEPTUAL_DUPLICATE if pair in is_perceptual else Reason.SEMANTIC_DUPLICATE
    similarity = np.einsum("ij,ij->i", vectors, vectors[survivor]) if n else np.empty(0, np.float32)
    return Groups(survivor, similarity.round(6), reason, _component_sizes(n, edges))


def text_identity(text: str) -> int:
    """64-bit hash of a sentence without case, punctuation and white space: equal for what only looks different."""
    letters = "".join(c for c in text.casefold() if c.isalnum())
    return int.from_bytes(hashlib.blake2b(letters.encode(), digest_size=8).digest(), "big")


def _no_edges() -> np.ndarray:
    return np.empty((0, 2), np.int64)


def _cosine_edges(vectors: np.ndarray, min_similarity: float) -> np.ndarray:
    """Pairs (a < b) with cosine at least the threshold, each verified by its own dot product in float64."""
    if len(vectors) < 2:
        return _no_edges()
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    found = []
    margin = 1e-3
    for start in range(0, len(vectors), _BLOCK):
        limits, _, ids = index.range_search(vectors[start : start + _BLOCK], min_similarity - margin)
        rows = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
        mine = rows < ids
        pairs = np.stack([rows[mine], ids[mine]], axis=1)
        exact = np.einsum("ij,ij->i", vectors[pairs[:, 0]].astype(np.float64), vectors[pairs[:, 1]].astype(np.float64))
        found.append(pairs[exact >= min_similarity])
    return np.concatenate(found)


def _hash_edges(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Pairs (a < b) of 64-bit hashes at most ``max_distance`` bits apart.

    Up to 7 bits, one of 8 bytes must agree, so candidates share a byte at its place; beyond, all pairs are compared.
    """
    hashes = hashes.astype(np.uint64)
    if len(hashes) < 2:
        return _no_edges()
    if max_distance == 0:
        return _equal_pairs(hashes, np.arange(len(hashes)))
    codes = hashes.reshape(-1, 1).view(np.uint8)
    through_bytes = max_distance < _HASH_BANDS
    index = faiss.IndexBinaryMultiHash(64, _HASH_BANDS, 8) if through_bytes else faiss.IndexBinaryFlat(64)
    index.add(np.ascontiguousarray(codes))
    limits, distances, ids = index.range_search(np.ascontiguousarray(codes), max_distance + 1)
    rows = np.repeat(np.arange(len(hashes)), np.diff(limits).astype(np.int64))
    mine = (rows < ids) & (distances <= max_distance)
    return np.unique(np.stack([rows[mine], ids[mine]], axis=1), axis=0)


def _equal_pairs(hashes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.r_[True, hashes[order][1:] != hashes[order][:-1]])
    pairs = [
        (positions[first], positions[other])
        for group in np.split(order, starts[1:])
        if len(group) > 1
        for i, first in enumerate(np.sort(group))
        for other in np.sort(group)[i + 1 :]
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _component_sizes(n: int, edges: np.ndarray) -> np.ndarray:
    if n == 0:
        return np.empty(0, np.int64)
    ones = np.ones(len(edges), np.int8)
    _, labels = connected_components(csr_array((ones, (edges[:, 0], edges[:, 1])), shape=(n, n)), directed=False)
    return np.bincount(labels)[labels]
