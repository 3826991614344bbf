"""Hierarchical retrieval against a search written the slow way, and against itself in other batches."""

import numpy as np
import pytest

from realsyn_ops.stages.retrieve import Texts, exact, recall, retrieve

DIM = 24


def unit(n: int, *, seed: int, dim: int = DIM) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def slow_search(
    images: np.ndarray, probes: np.ndarray, sentences: np.ndarray, clusters: np.ndarray, n: int, limit: float
) -> list[list[int]]:
    """Per image, every sentence of its clusters by similarity, then position, without those like a better one."""
    answers = []
    for vector, probed in zip(images.astype(np.float64), probes, strict=True):
        scored = [
            (-round(float(sentences[p].astype(np.float64) @ vector), 6), p)
            for p in range(len(sentences))
            if clusters[p] in probed
        ]
        chosen: list[int] = []
        for _, p in sorted(scored):
            if len(chosen) < n and all(float(sentences[p] @ sentences[c]) <= limit for c in chosen):
                chosen.append(p)
        answers.append(chosen + [-1] * (n - len(chosen)))
    return answers


@pytest.mark.parametrize("n_probes", [1, 2, 5])
@pytest.mark.parametrize("limit", [0.3, 0.95])
def test_it_finds_what_the_slow_search_finds(n_probes: int, limit: float) -> None:
    images, sentences = unit(60, seed=1), unit(900, seed=2)
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 20, 900)
    probes = np.stack([rng.choice(20, n_probes, replace=False) for _ in images])
    found = retrieve(images, probes, sentences, clusters, n_texts=3, max_text_similarity=limit)
    assert found.positions.tolist() == slow_search(images, probes, sentences, clusters, 3, limit)
    expected = np.einsum("ijd,id->ij", sentences[found.positions], images)
    assert found.similarities == pytest.approx(np.where(found.positions < 0, 0, expected), abs=2e-6)
    assert (np.diff(found.similarities, axis=1)[found.positions[:, 1:] >= 0] <= 0).all()


def test_one_image_at_a_time_gives_the_same_bytes() -> None:
    images, sentences = unit(80, seed=4, dim=384), unit(2_000, seed=5, dim=384)
    clusters = np.random.default_rng(6).integers(0, 8, 2_000)
    probes = np.random.default_rng(7).integers(0, 8, (80, 1))
    rules = {"n_texts": 3, "max_text_similarity": 0.95}
    together = retrieve(images, probes, sentences, clusters, **rules)
    alone = [retrieve(images[i : i + 1], probes[i : i + 1], sentences, clusters, **rules) for i in range(80)]
    assert np.concatenate([a.positions for a in alone]).tobytes() == together.positions.tobytes()
    assert np.concatenate([a.similarities for a in alone]).tobytes() == together.similarities.tobytes()


def test_a_text_too_like_a_better_one_is_passed_over() -> None:
    image = np.array([[1, 0, 0]], np.float32)
    sentences = np.array([[0.9, 0.43589, 0], [0.89, 0.45596, 0], [0.8, -0.6, 0], [0.7, 0, 0.714143]], np.float32)
    clusters = np.zeros(4, np.int64)
    strict = retrieve(image, np.zeros((1, 1), int), sentences, clusters, n_texts=3, max_text_similarity=0.95)
    lax = retrieve(image, np.zeros((1, 1), int), sentences, clusters, n_texts=3, max_text_similarity=1.0)
    assert strict.positions.tolist() == [[0, 2, 3]]
    assert lax.positions.tolist() == [[0, 1, 2]]


def test_ties_go_to_the_smaller_position() -> None:
    sentences = np.array([[0, 1], [1, 0], [0, 1], [1, 0], [1, 0]], np.float32)[:, [0, 1]]
    found = retrieve(
        np.array([[1, 0]], np.float32), np.zeros((1, 1), int), sentences, np.zeros(5, int),
        n_texts=3, max_text_similarity=1.0,
    )  # fmt: skip
    assert found.positions.tolist() == [[1, 3, 4]]


def test_ties_between_clusters_go_to_the_smaller_position() -> None:
    sentences = np.array([[1, 0]] * 4, np.float32)
    found = retrieve(
        sentences[:1], np.array([[0, 1]]), sentences, np.array([1, 0, 1, 0]), n_texts=3, max_text_similarity=1.0
    )
    assert found.positions.tolist() == [[0, 1, 2]]


def test_a_difference_beyond_the_sixth_digit_is_a_tie() -> None:
    sentences = np.array([[0.6, 0.8], [0.6, 0.8]], np.float32)
    sentences[1, 1] = np.nextafter(sentences[1, 1], np.float32(1))
    found = exact(np.array([[0, 1]], np.float32), sentences, n_texts=2, max_text_similarity=1.1)
    assert found.positions.tolist() == [[0, 1]]
    assert found.similarities[0, 0] == found.similarities[0, 1]


def test_ties_beyond_the_spare_candidates_go_to_the_smaller_position() -> None:
    sentences = np.repeat(np.array([[1, 0]], np.float32), 100, axis=0)
    clusters = np.zeros(100, np.int64)
    found = retrieve(sentences[:1], np.zeros((1, 1), int), sentences, clusters, n_texts=3, max_text_similarity=1.0)
    assert found.positions.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("probe", "expected"),
    [(0, [0, 1, -1]), (1, [2, -1, -1]), (2, [-1, -1, -1]), (9, [-1, -1, -1])],
    ids=["two texts", "one text", "no texts", "beyond the last cluster"],
)
def test_a_cluster_with_too_few_texts_leaves_places_empty(probe: int, expected: list[int]) -> None:
    sentences = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    image = np.array([[0.8, 0.6, 0]], np.float32)
    found = retrieve(image, np.array([[probe]]), sentences, np.array([0, 0, 1]), n_texts=3, max_text_similarity=0.95)
    assert found.positions.tolist() == [expected]
    assert found.similarities[found.positions < 0].tolist() == [0.0] * expected.count(-1)


@pytest.mark.parametrize(("n_images", "n_sentences"), [(0, 5), (4, 0), (0, 0)])
def test_nothing_to_search_is_no_error(n_images: int, n_sentences: int) -> None:
    found = exact(unit(n_images, seed=1), unit(n_sentences, seed=2), n_texts=3, max_text_similarity=0.95)
    assert found.positions.shape == found.similarities.shape == (n_images, 3)
    assert (found.positions == -1).all()


def test_probing_every_cluster_is_the_exact_search() -> None:
    images, sentences = unit(30, seed=8), unit(400, seed=9)
    clusters = np.random.default_rng(10).integers(0, 6, 400)
    rules = {"n_texts": 3, "max_text_similarity": 0.95}
    every = np.tile(np.arange(6), (30, 1))
    whole, shortcut = exact(images, sentences, **rules), retrieve(images, every, sentences, clusters, **rules)
    assert shortcut.positions.tolist() == whole.positions.tolist()
    assert shortcut.similarities.tolist() == whole.similarities.tolist()


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ([[1, 2, 3]], [[3, 2, 1]], 1.0),
        ([[1, 2, 4]], [[1, 2, 3]], 2 / 3),
        ([[7, 8, 9], [1, 2, 3]], [[4, 5, 6], [1, 2, 3]], 0.5),
        ([[1, -1, -1]], [[1, -1, -1]], 1.0),
        ([[-1, -1, -1]], [[1, 2, -1]], 0.0),
        ([[-1, -1, -1]], [[-1, -1, -1]], 1.0),
    ],
)
def test_recall_is_the_share_of_wanted_texts_found(
    found: list[list[int]], wanted: list[list[int]], expected: float
) -> None:
    def texts(positions: list[list[int]]) -> Texts:
        return Texts(np.array(positions), np.zeros((len(positions), 3), np.float32))

    assert recall(texts(found), texts(wanted)) == pytest.approx(expected)
