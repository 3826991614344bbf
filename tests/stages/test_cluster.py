"""Clusters: how many, where their centroids lie, who belongs to which, and how even they are."""

import os
import subprocess
import sys

import numpy as np
import pytest

from realsyn_ops.stages.cluster import Quantizer, assign, fit_centroids, imbalance, n_clusters, n_fitted

FIT = """
import hashlib, sys
import numpy as np
from realsyn_ops.stages.cluster import assign, fit_centroids
rows = np.random.default_rng(3).standard_normal((6_000, 32)).astype(np.float32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
centroids = fit_centroids(rows, k=1_050, seed=5)
ids, similarities = assign(rows[:5_000], centroids, n_probes=2)
print(hashlib.sha256(centroids.tobytes() + ids.tobytes() + similarities.tobytes()).hexdigest())
"""


def unit_rows(n: int, dim: int, seed: int) -> np.ndarray:
    """Rows whose variance falls along the axes, as embeddings' does."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)) / np.sqrt(1 + np.arange(dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def blobs(*, per_blob: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around four orthogonal directions, and which direction each belongs to."""
    labels = np.repeat(np.arange(4), per_blob)
    points = np.eye(4, 8)[labels] + 0.05 * np.random.default_rng(seed).standard_normal((4 * per_blob, 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize(
    ("n_rows", "rows_per_cluster", "expected"),
    [
        (0, 420, 1),
        (1, 420, 1),
        (200, 420, 1),
        (840, 420, 2),
        (1_000, 420, 2),
        (1_060, 420, 3),
        (3, 1, 3),
        (840_000_000, 420, 2_000_000),
    ],
)
def test_the_number_of_clusters_follows_the_rows(n_rows: int, rows_per_cluster: int, expected: int) -> None:
    assert n_clusters(n_rows, rows_per_cluster=rows_per_cluster) == expected


def test_centroids_find_the_blobs_and_have_unit_length() -> None:
    vectors, labels = blobs(per_blob=100)
    centroids = fit_centroids(vectors, k=12, seed=1)
    ids, _ = assign(vectors, centroids)
    assert len(set(zip(labels.tolist(), ids[:, 0].tolist(), strict=True))) == len(set(ids[:, 0].tolist())) == 12
    assert centroids.dtype == np.float32
    assert np.linalg.norm(centroids, axis=1) == pytest.approx(np.ones(12), abs=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    vectors, _ = blobs(per_blob=200)
    first = fit_centroids(vectors, k=9, seed=7)
    assert fit_centroids(vectors, k=9, seed=7).tobytes() == first.tobytes()
    assert fit_centroids(vectors, k=9, seed=8).tobytes() != first.tobytes()


class ReadRows:
    """Rows that are read where asked for, and how many at most at once."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.most = rows, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        assert (np.diff(positions) > 0).all()
        self.most = max(self.most, len(positions))
        return self.rows[positions]


def test_rows_are_read_in_parts_and_give_the_same_bytes() -> None:
    vectors = unit_rows(70_000, 8, seed=6)
    source = ReadRows(vectors)
    assert fit_centroids(source, k=300, seed=7).tobytes() == fit_centroids(vectors, k=300, seed=7).tobytes()
    assert 0 < source.most < 70_000


@pytest.mark.parametrize(("k", "expected"), [(1, 256), (2_381, 609_536), (7_143, 1_000_000), (2_000_000, 64_000_000)])
def test_a_fit_looks_at_a_bounded_sample(k: int, expected: int) -> None:
    assert n_fitted(k) == expected


def test_neither_threads_nor_the_process_change_a_bit() -> None:
    digests = set()
    for threads in ("1", "2"):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": "."}
        done = subprocess.run([sys.executable, "-c", FIT], env=env, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_one_cluster_is_the_direction_of_the_sum() -> None:
    vectors = unit_rows(200, 16, seed=2)
    total = vectors.astype(np.float64).sum(axis=0)
    assert fit_centroids(vectors, k=1, seed=1)[0] == pytest.approx(total / np.linalg.norm(total), abs=1e-3)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_duplicates_alone_give_that_row_as_every_centroid(k: int) -> None:
    row = unit_rows(1, 16, seed=3)
    centroids = fit_centroids(np.repeat(row, 20, axis=0), k=k, seed=1)
    assert centroids == pytest.approx(np.repeat(row, k, axis=0), abs=1e-3)
    assert assign(row, centroids)[0].tolist() == [[0]]


def test_no_cluster_is_left_empty_where_rows_differ() -> None:
    vectors = np.concatenate([np.repeat(unit_rows(1, 8, seed=4), 900, axis=0), unit_rows(100, 8, seed=5)])
    ids, _ = assign(vectors, fit_centroids(vectors, k=30, seed=1))
    assert len(np.unique(ids)) == 30


def test_fewer_rows_than_clusters_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows cannot have 3 centroids"):
        fit_centroids(np.eye(2, dtype=np.float32), k=3, seed=1)


def test_the_objective_is_that_of_plain_k_means() -> None:
    vectors = unit_rows(4_000, 32, seed=7)
    centroids = vectors[:40].copy()
    for _ in range(30):
        nearest = (vectors @ centroids.T).argmax(axis=1)
        sums = np.stack([vectors[nearest == cluster].sum(axis=0) for cluster in range(40)])
        centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    ours = assign(vectors, fit_centroids(vectors, k=40, seed=1))[1].mean()
    assert ours > 0.99 * assign(vectors, centroids)[1].mean()


def test_by_cells_almost_every_row_finds_its_nearest_centroids() -> None:
    centroids, vectors = unit_rows(1_500, 64, seed=8), unit_rows(4_000, 64, seed=9)
    exact = np.argsort(-(vectors.astype(np.float64) @ centroids.T.astype(np.float64)), axis=1)[:, :3]
    ids, similarities = Quantizer(centroids).assign(vectors, n_probes=3)
    assert (ids[:, 0] != exact[:, 0]).mean() <= 0.005
    assert (ids[:, :, None] == exact[:, None, :]).any(axis=2).mean() >= 0.995
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_by_cells_too_one_row_at_a_time_gives_the_same_bytes() -> None:
    quantizer, vectors = Quantizer(unit_rows(1_100, 32, seed=10)), unit_rows(60, 32, seed=11)
    together = quantizer.assign(vectors, n_probes=2)
    alone = [quantizer.assign(vectors[i : i + 1], n_probes=2) for i in range(60)]
    for part in range(2):
        assert np.concatenate([a[part] for a in alone]).tobytes() == together[part].tobytes()


def test_a_row_at_a_coarse_centre_finds_its_centroid() -> None:
    centroids = unit_rows(1_100, 32, seed=12)
    ids, similarities = assign(centroids, centroids)
    assert ids[:, 0].tolist() == list(range(1_100))
    assert similarities[:, 0] == pytest.approx(np.ones(1_100))


def test_as_many_clusters_as_rows_are_allowed() -> None:
    vectors = np.eye(5, dtype=np.float32)
    ids, similarities = assign(vectors, fit_centroids(vectors, k=5, seed=1))
    assert sorted(ids[:, 0].tolist()) == list(range(5))
    assert similarities[:, 0] == pytest.approx(np.ones(5))


def test_probes_are_the_nearest_centroids_best_first() -> None:
    vectors, _ = blobs(per_blob=25)
    centroids = np.random.default_rng(5).standard_normal((12, 8)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    ids, similarities = assign(vectors, centroids, n_probes=3)
    exact = vectors.astype(np.float64) @ centroids.T.astype(np.float64)
    assert ids.tolist() == np.argsort(-exact, axis=1)[:, :3].tolist()
    assert similarities == pytest.approx(-np.sort(-exact, axis=1)[:, :3], abs=1e-6)


def test_a_tie_goes_to_the_smaller_id() -> None:
    centroids = np.array([[0, 1], [1, 0], [1, 0], [1, 0]], np.float32)
    ids, _ = assign(np.array([[1, 0]] * 30, np.float32), centroids, n_probes=2)
    assert ids.tolist() == [[1, 2]] * 30


def test_a_difference_beyond_the_sixth_digit_is_a_tie() -> None:
    centroids = np.array([[0.6, 0.8], [0.6, 0.8]], np.float32)
    centroids[1, 1] = np.nextafter(centroids[1, 1], np.float32(1))
    assert assign(np.array([[0, 1]], np.float32), centroids, n_probes=2)[0].tolist() == [[0, 1]]


def test_one_row_at_a_time_gives_the_same_bytes() -> None:
    rng = np.random.default_rng(6)
    vectors, centroids = (rng.standard_normal((n, 384)).astype(np.float32) for n in (100, 50))
    together = assign(vectors, centroids, n_probes=2)
    alone = [assign(vectors[i : i + 1], centroids, n_probes=2) for i in range(100)]
    for part in range(2):
        assert np.concatenate([a[part] for a in alone]).tobytes() == together[part].tobytes()


def test_rows_beyond_the_first_block_are_assigned() -> None:
    vectors = np.tile(np.eye(3, dtype=np.float32), (22_000, 1))
    ids, similarities = assign(vectors, np.eye(3, dtype=np.float32))
    assert ids[:, 0].tolist() == [0, 1, 2] * 22_000
    assert (similarities == 1).all()


def test_more_probes_than_clusters_are_all_of_them() -> None:
    ids, similarities = assign(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), n_probes=5)
    assert ids.tolist() == [[0, 1], [1, 0]]
    assert similarities.shape == (2, 2)


def test_no_rows_are_assigned_to_nothing() -> None:
    ids, similarities = assign(np.empty((0, 2), np.float32), np.eye(2, dtype=np.float32))
    assert (ids.shape, ids.dtype, similarities.shape, similarities.dtype) == ((0, 1), np.int64, (0, 1), np.float32)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([5, 5, 5, 5], 1.0), ([20, 0, 0, 0], 4.0), ([3, 1], 1.25), ([0, 0], 1.0), ([], 1.0)],
)
def test_imbalance_is_one_for_even_clusters_and_k_for_one_that_holds_all(sizes: list[int], expected: float) -> None:
    assert imbalance(np.array(sizes, np.int64)) == expected
