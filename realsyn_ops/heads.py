"""Heads of unit vectors: a few dimensions whose product never falls short of the cosine.

Along any orthonormal basis a.b <= head(a).head(b) + |tail(a)| |tail(b)| (Cauchy-Schwarz), and the right side is one
product of one dimension more. It costs a part of the whole product, and pairs that it puts below a bound are below it.
"""

import numpy as np
from scipy.linalg import eigh

HEAD = 63
"""Dimensions of a head, besides the tail's."""
_SAMPLE = 4_096
_BLOCK = 4_096
_TAIL_ERROR = 1e-6


def unit_rows(stored: np.ndarray) -> np.ndarray:
    """(n, d) float32 rows of unit length, of rows kept as float16: each the same whatever others are in the call."""
    rows = stored.astype(np.float32)
    rows /= np.sqrt(np.maximum(np.einsum("ij,ij->i", rows, rows), 1e-24))[:, None]
    return rows


def head_basis(vectors: np.ndarray) -> np.ndarray:
    """(d, h) float32 main directions of some rows, such as frozen centroids: whoever keeps heads keeps it with them."""
    rows = vectors[:: max(1, len(vectors) // _SAMPLE)].astype(np.float64)
    d = rows.shape[1]
    return eigh(rows.T @ rows, subset_by_index=[max(0, d - HEAD), d - 1])[1].astype(np.float32)


def vector_heads(vectors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(n, h + 1) float32 rows whose products are no smaller than those of the vectors, but for rounding."""
    heads = np.empty((len(vectors), basis.shape[1] + 1), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        rows = vectors[start : start + _BLOCK].astype(np.float32, copy=False)
        head = rows @ basis
        tails = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", head, head)
        heads[start : start + _BLOCK, :-1] = head
        heads[start : start + _BLOCK, -1] = np.sqrt(np.maximum(tails, 0) + _TAIL_ERROR)
    return heads
