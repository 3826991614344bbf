"""Clusters: how many, where their centroids lie, who belongs to which, and how even they are."""

import faiss
import numpy as np
import pytest

from realsyn_ops.stages.cluster import assign, fit_centroids, imbalance, n_clusters


@pytest.fixture(autouse=True)
def one_thread() -> None:
    faiss.omp_set_num_threads(1)


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
    vectors = np.tile(np.eye(3, dtype=np.float32), (1_500, 1))
    ids, similarities = assign(vectors, np.eye(3, dtype=np.float32))
    assert ids[:, 0].tolist() == [0, 1, 2] * 1_500
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
