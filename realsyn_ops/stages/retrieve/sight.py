"""How images see sentences: what is frozen with the codebook so that a search needs to look at a small share of them.

Images do not lie where sentences lie. Along most directions of the joint space all images are alike, and a difference
between sentences there moves no score. So sentences are clustered in the images' *leading directions* only, and a
cluster is probed when its likely best score reaches that of the most promising one: mean plus so many standard
deviations of its sentences' scores, both known from the frozen moments of the cluster. The same directions make the
sentences' heads.

Every function here gives a row the same answer whatever other rows are in the call: projections are made in float64 and
rounded to a grid on which float32 matrix products are exact. How the numbers are chosen is in `calibration`.
"""

from dataclasses import dataclass, fields
from typing import Any

import faiss
import numpy as np

_GRID = 4_000.0
"""Steps to one on the grid. Products of two rows of norm 1 stay below 2**24 in any order of summation: exact."""
BEST_REACH = 4.0
"""Standard deviations above its mean that a cluster's best sentence may lie, when the clusters are compared."""
_BLOCK = 512


@dataclass(frozen=True)
class Sight:
    """Frozen: with another one, all images are searched anew.

    basis (d, e): the images' leading directions, orthonormal columns, largest first; the first ``centroids.shape[1]``
    are those in which sentences are clustered. means, variances (k, e): of each cluster's sentences along the basis.
    reach: an image probes the clusters whose mean score plus so many deviations is as high as the best's plus four.
    """

    basis: np.ndarray
    centroids: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    reach: float

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray]) -> "Sight":
        values: dict[str, Any] = dict(arrays) | {"reach": float(arrays["reach"])}
        return Sight(**values)

    @property
    def n_clusters(self) -> int:
        return len(self.centroids)


def listed(n_clusters: int, dim: int) -> Sight:
    """For `search` with clusters and probes from elsewhere, as the paper's: all of a probed one are scored."""
    none = np.zeros((n_clusters, 0), np.float32)
    return Sight(np.eye(dim, dtype=np.float32), none, none, none, np.inf)


def assign(sight: Sight, sentences: np.ndarray) -> np.ndarray:
    """(n,) the cluster of each sentence (n, d): the nearest centroid as images see it, ties to the smaller id."""
    e = sight.centroids.shape[1]
    index = faiss.IndexFlatIP(e + 1)
    half = _GRID / 2
    index.add(_with_column(_on_grid(sight.centroids), np.rint(-(sight.centroids**2).sum(axis=1) * half)))
    clusters = np.empty(len(sentences), np.int64)
    for start in range(0, len(sentences), 65_536):
        seen = _on_grid(project(sight.basis[:, :e], sentences[start : start + 65_536]) / 2)
        clusters[start : start + 65_536] = index.search(_with_column(seen, np.full(len(seen), half)), 1)[1][:, 0]
    return clusters


def probes(sight: Sight, images: np.ndarray) -> list[np.ndarray]:
    """For each image (m, d) the clusters it probes, at least one: the most promising, then the others, ascending."""
    found: list[np.ndarray] = []
    for start in range(0, len(images), _BLOCK):
        mean, spread = score_moments(sight, images[start : start + _BLOCK])
        likely_best = mean + np.float32(BEST_REACH) * spread
        first = likely_best.argmax(axis=1)
        reached = mean + np.float32(sight.reach) * spread >= likely_best.max(axis=1, keepdims=True)
        reached[np.arange(len(mean)), first] = False
        rows, others = np.divmod(np.flatnonzero(reached), reached.shape[1])
        clusters = np.insert(others, np.searchsorted(rows, np.arange(len(mean))), first)
        limits = np.cumsum(np.bincount(rows, minlength=len(mean)) + 1)
        found += np.split(clusters, limits[:-1])
    return found


def score_moments(sight: Sight, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, k) each: mean and standard deviation of the scores of each cluster's sentences, as far as the basis shows."""
    scale = max(float(sight.variances.max(initial=0.0)), 1e-9)
    variances = np.rint(sight.variances.T / scale * _GRID).astype(np.float32)
    seen = project(sight.basis, images)
    mean = (_on_grid(seen) @ _on_grid(sight.means).T) / np.float32(_GRID**2)
    spread = np.sqrt(_on_grid(seen**2) @ variances) * np.float32(np.sqrt(scale) / _GRID)
    return mean, np.maximum(spread, np.float32(1e-6))


def project(basis: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(n, e) float64 coordinates of the vectors along the basis, to the sixth digit."""
    wide = basis.astype(np.float64)
    blocks = [vectors[i : i + 65_536].astype(np.float64) @ wide for i in range(0, len(vectors), 65_536)]
    return np.concatenate(blocks).round(6) if blocks else np.zeros((0, wide.shape[1]))


def _on_grid(rows: np.ndarray) -> np.ndarray:
    return np.rint(rows * _GRID).astype(np.float32)


def _with_column(rows: np.ndarray, column: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.column_stack([rows, column]), np.float32)
