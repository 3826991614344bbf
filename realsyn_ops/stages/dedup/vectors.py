"""What equal vectors share, and the float64 cosine that decides on a link."""

import hashlib

import numpy as np

_BLOCK = 4_096


def vector_identity(vectors: np.ndarray) -> np.ndarray:
    """(n,) uint64 hash of each row's bytes: equal for equal vectors. Worth keeping beside them."""
    digests = bytearray()
    for start in range(0, len(vectors), _BLOCK):
        rows = np.ascontiguousarray(vectors[start : start + _BLOCK])
        for row in rows:
            digests += hashlib.blake2b(row, digest_size=8).digest()
    return np.frombuffer(digests, np.uint64)


def cosines(ones: np.ndarray, first: np.ndarray, others: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(m,) float64 products of row first[i] of `ones` with row second[i] of `others`: the same for two rows whatever
    stands beside them."""
    out = np.empty(len(first))
    for start in range(0, len(first), _BLOCK):
        some = slice(start, start + _BLOCK)
        left, right = ones[first[some]].astype(np.float64), others[second[some]].astype(np.float64)
        out[some] = np.einsum("ij,ij->i", left, right)
    return out
