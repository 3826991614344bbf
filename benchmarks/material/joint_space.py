"""Many vectors of a joint space, made of fewer real ones, and what shows whether they are as hard to search.

A made vector is a real one moved by the difference of two of its neighbours: clusters, crowded and empty regions and
the gap between images and sentences stay where they are, and noise has the shape it has in that place. How far it is
moved is fitted: the median distance to the nearest neighbour is that of as many real vectors.
"""

from dataclasses import dataclass

import faiss
import numpy as np

_NEIGHBOURS = 16
_LOOKED_AT = 20_000
_MOVES = np.arange(0.3, 1.3, 0.1)


@dataclass(frozen=True)
class Generator:
    vectors: np.ndarray
    neighbours: np.ndarray
    move: float

    def make(self, n: int, *, seed: int) -> np.ndarray:
        """(n, d) float32 unit rows."""
        draw = np.random.default_rng(seed)
        made = np.empty((n, self.vectors.shape[1]), np.float32)
        for start in range(0, n, 50_000):
            rows = min(50_000, n - start)
            of = draw.integers(0, len(self.vectors), rows)
            toward, away = (self.neighbours[of, draw.integers(0, _NEIGHBOURS, rows)] for _ in range(2))
            moved = self.vectors[of] + self.move * (self.vectors[toward] - self.vectors[away])
            made[start : start + rows] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        return made


def fit(vectors: np.ndarray, *, seed: int) -> Generator:
    """On (n, d) float32 unit rows; neighbours are looked for among 20,000 of them."""
    draw = np.random.default_rng(seed)
    among = np.sort(draw.permutation(len(vectors))[:_LOOKED_AT])
    _, near = faiss.knn(vectors, vectors[among], _NEIGHBOURS + 1, metric=faiss.METRIC_INNER_PRODUCT)
    neighbours = among[near[:, 1:]]
    real = nearest(vectors[among])
    off = [abs(nearest(Generator(vectors, neighbours, move).make(len(among), seed=seed)) - real) for move in _MOVES]
    return Generator(vectors, neighbours, float(_MOVES[int(np.argmin(off))]))


def nearest(vectors: np.ndarray) -> float:
    """The median cosine of a vector to its nearest other."""
    found, _ = faiss.knn(vectors[:2_000], vectors, 2, metric=faiss.METRIC_INNER_PRODUCT)
    return float(np.median(found[:, 1]))


def describe(images: np.ndarray, sentences: np.ndarray) -> dict[str, float]:
    """Of how searching feels: for real vectors and made ones alike, on as many."""
    scores, best = faiss.knn(images[:1_000], sentences, 10, metric=faiss.METRIC_INNER_PRODUCT)
    uses = np.bincount(best[:, :3].ravel(), minlength=len(sentences))
    return {
        "n_images": len(images),
        "n_sentences": len(sentences),
        "image_rank": effective_rank(images),
        "sentence_rank": effective_rank(sentences),
        "image_nearest": nearest(images),
        "sentence_nearest": nearest(sentences),
        "gap": float(np.linalg.norm(images.mean(axis=0) - sentences.mean(axis=0))),
        "top_1": float(np.median(scores[:, 0])),
        "top_1_to_3": float(np.median(scores[:, 0] - scores[:, 2])),
        "top_3_to_10": float(np.median(scores[:, 2] - scores[:, 9])),
        "distinct_of_top_3": float((uses > 0).sum() / uses.sum()),
        "most_used": float(uses.max()),
        **_by_probes(images[:1_000], sentences, best[:, :3]),
    }


def _by_probes(images: np.ndarray, sentences: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """Recall of one probe of clusters of about 420, and the share of all clusters to probe for 0.95 and 0.98."""
    k = max(1, len(sentences) // 420)
    kmeans = faiss.Kmeans(sentences.shape[1], k, niter=10, seed=1, spherical=True, min_points_per_centroid=1)
    kmeans.train(sentences)
    centroids = np.asarray(kmeans.centroids)
    _, nearest_centroid = faiss.knn(sentences, centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)
    order = np.argsort(np.argsort(-(images @ centroids.T), axis=1), axis=1)
    place = np.take_along_axis(order, nearest_centroid[best, 0], axis=1)
    needed = {f"probes_for_{t}": float((np.quantile(place, t) + 1) / k) for t in (0.95, 0.98)}
    return {"one_probe": float((place == 0).mean()), **needed}


def effective_rank(vectors: np.ndarray) -> float:
    """One over the sum of the squared shares of variance: how many directions count."""
    values = np.linalg.eigvalsh(vectors.T @ vectors)
    return float(values.sum() ** 2 / (values**2).sum())
