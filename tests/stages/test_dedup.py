"""Near-duplicates: who survives, who belongs to whom, and that neither order nor chains change the answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realsyn_ops.records import Reason
from realsyn_ops.stages.dedup import Groups, near_duplicates, text_identity

NO_DUPLICATE = 2.0
"""A similarity no two vectors reach: only hashes join records."""


def at_angles(*degrees: float) -> np.ndarray:
    """Unit vectors of a plane, in three dimensions."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians), np.zeros_like(radians)], axis=1).astype(np.float32)


def apart(n: int) -> np.ndarray:
    return np.eye(n, dtype=np.float32)


def random_vectors(n: int, *, seed: int, dim: int = 16) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def check_rules(groups: Groups, vectors: np.ndarray, rank: np.ndarray, min_similarity: float) -> None:
    """What holds for any input: members near their survivor and ranked behind it, survivors strangers to each other."""
    exact = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    survivors = np.flatnonzero(groups.survivor == np.arange(len(vectors)))
    members = np.flatnonzero(groups.survivor != np.arange(len(vectors)))
    assert set(groups.survivor.tolist()) == set(survivors.tolist())
    assert (exact[members, groups.survivor[members]] >= min_similarity).all()
    assert (rank[groups.survivor[members]] < rank[members]).all()
    among = exact[np.ix_(survivors, survivors)] - 2 * np.eye(len(survivors))
    assert (among < min_similarity).all()
    assert [reason is None for reason in groups.reason] == [i in set(survivors.tolist()) for i in range(len(vectors))]


def test_a_chain_does_not_join_its_ends() -> None:
    vectors = at_angles(0, 20, 40, 60, 80)
    groups = near_duplicates(vectors, rank=np.arange(5), min_similarity=np.cos(np.radians(21)))
    assert groups.survivor.tolist() == [0, 0, 2, 2, 4]
    assert groups.component_size.tolist() == [5] * 5
    assert groups.similarity == pytest.approx([1, np.cos(np.radians(20))] * 2 + [1], abs=1e-6)


def test_the_best_of_a_chain_takes_both_its_neighbours() -> None:
    vectors = at_angles(0, 20, 40, 60, 80)
    groups = near_duplicates(vectors, rank=np.array([4, 1, 0, 2, 3]), min_similarity=np.cos(np.radians(21)))
    assert groups.survivor.tolist() == [0, 2, 2, 2, 4]


@pytest.mark.parametrize(
    ("rank", "survivor"),
    [([0, 1, 2], 0), ([2, 0, 1], 1), ([1, 2, 0], 2)],
)
def test_the_best_rank_survives(rank: list[int], survivor: int) -> None:
    groups = near_duplicates(at_angles(0, 1, 2), rank=np.array(rank), min_similarity=0.99)
    assert groups.survivor.tolist() == [survivor] * 3


@pytest.mark.parametrize(
    ("similarity", "is_duplicate"),
    [(0.9, True), (0.9 + 1e-5, True), (0.9 - 1e-5, False), (0.9 - 5e-4, False), (0.95, True), (0.5, False)],
)
def test_the_threshold_decides_to_the_fifth_digit(similarity: float, is_duplicate: bool) -> None:
    vectors = np.array([[1, 0], [similarity, np.sqrt(1 - similarity**2)]], np.float32)
    groups = near_duplicates(vectors, rank=np.arange(2), min_similarity=0.9 - 1e-7)
    assert groups.survivor.tolist() == [0, 0 if is_duplicate else 1]
    assert groups.reason == [None, Reason.SEMANTIC_DUPLICATE if is_duplicate else None]


def test_a_similarity_equal_to_the_threshold_is_a_duplicate() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8]], np.float32)
    assert near_duplicates(vectors, rank=np.arange(2), min_similarity=float(vectors[1, 0])).survivor.tolist() == [0, 0]


def test_planted_duplicates_are_found_and_nothing_else() -> None:
    n, planted = 5_000, 300
    vectors = random_vectors(n, seed=1, dim=64)
    rng = np.random.default_rng(2)
    originals = rng.choice(n - planted, planted, replace=False)
    copies = np.arange(n - planted, n)
    noisy = vectors[originals] + 0.02 * rng.standard_normal((planted, 64)).astype(np.float32)
    vectors[copies] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    groups = near_duplicates(vectors, rank=np.arange(n), min_similarity=0.95)
    assert groups.survivor[copies].tolist() == originals.tolist()
    assert np.flatnonzero(groups.survivor != np.arange(n)).tolist() == copies.tolist()
    check_rules(groups, vectors, np.arange(n), 0.95)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_groups_do_not_depend_on_the_order_of_records(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 25))
    degrees = data.draw(st.lists(st.integers(0, 359), min_size=n, max_size=n))
    hashes = np.array(data.draw(st.lists(st.integers(0, 7), min_size=n, max_size=n)), np.uint64)
    rank = np.array(data.draw(st.permutations(range(n))))
    order = np.array(data.draw(st.permutations(range(n))))
    vectors = at_angles(*degrees)
    rules = {"min_similarity": float(np.cos(np.radians(10.5))), "max_hash_distance": data.draw(st.integers(0, 1))}
    groups = near_duplicates(vectors, rank=rank, identities=hashes, **rules)
    shuffled = near_duplicates(vectors[order], rank=rank[order], identities=hashes[order], **rules)
    assert order[shuffled.survivor].tolist() == groups.survivor[order].tolist()
    assert shuffled.reason == [groups.reason[i] for i in order]
    assert shuffled.similarity.tolist() == groups.similarity[order].tolist()
    assert shuffled.component_size.tolist() == groups.component_size[order].tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 359), min_size=1, max_size=40), st.integers(1, 60), st.randoms())
def test_the_rules_hold_for_any_vectors(degrees: list[int], width: int, random: object) -> None:
    vectors = at_angles(*degrees)
    rank = np.random.default_rng(len(degrees)).permutation(len(degrees))
    min_similarity = float(np.cos(np.radians(width + 0.5)))
    check_rules(near_duplicates(vectors, rank=rank, min_similarity=min_similarity), vectors, rank, min_similarity)


@pytest.mark.parametrize("max_distance", [0, 1, 4, 7, 8, 16])
def test_hashes_within_the_distance_are_perceptual_duplicates(max_distance: int) -> None:
    """200 hashes, planted at distances from 0 to 18 bits, against distances counted bit by bit."""
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, 200, dtype=np.uint64)
    for i in range(0, 200, 2):
        flipped = rng.choice(64, (i // 2) % 19, replace=False)
        hashes[i + 1] = hashes[i] ^ np.bitwise_or.reduce(
            np.uint64(1) << flipped.astype(np.uint64), initial=np.uint64(0)
        )
    expected: list[int] = []
    for i, value in enumerate(hashes.tolist()):
        near = [j for j in sorted(set(expected)) if (value ^ int(hashes[j])).bit_count() <= max_distance]
        expected.append(near[0] if near else i)
    groups = near_duplicates(
        apart(200), rank=np.arange(200), min_similarity=NO_DUPLICATE, identities=hashes, max_hash_distance=max_distance
    )
    assert groups.survivor.tolist() == expected
    assert {groups.reason[i] for i in range(200) if expected[i] != i} == {Reason.PERCEPTUAL_DUPLICATE}
    assert len(set(expected)) < 200


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("distance", [4, 7])
def test_one_agreeing_byte_at_any_place_is_enough(place: int, distance: int) -> None:
    bits = [8 * byte for byte in range(8) if byte != place][:distance]
    other = sum(1 << bit for bit in bits)
    groups = near_duplicates(
        apart(2), rank=np.arange(2), min_similarity=NO_DUPLICATE,
        identities=np.array([0, other], np.uint64), max_hash_distance=distance,
    )  # fmt: skip
    assert groups.survivor.tolist() == [0, 0]


def test_a_duplicate_by_both_is_called_perceptual_and_keeps_its_cosine() -> None:
    groups = near_duplicates(
        at_angles(0, 10, 10), rank=np.arange(3), min_similarity=0.98, identities=np.array([5, 5, 9], np.uint64)
    )
    assert groups.reason == [None, Reason.PERCEPTUAL_DUPLICATE, Reason.SEMANTIC_DUPLICATE]
    assert groups.similarity == pytest.approx([1, np.cos(np.radians(10)), np.cos(np.radians(10))], abs=1e-6)


def test_components_count_links_of_both_kinds() -> None:
    groups = near_duplicates(
        at_angles(0, 5, 90, 180, 270), rank=np.arange(5), min_similarity=0.99,
        identities=np.array([1, 2, 2, 3, 4], np.uint64),
    )  # fmt: skip
    assert groups.component_size.tolist() == [3, 3, 3, 1, 1]
    assert groups.survivor.tolist() == [0, 0, 2, 3, 4]


@pytest.mark.parametrize("identities", [None, np.zeros(1, np.uint64)])
def test_a_single_record_survives(identities: np.ndarray | None) -> None:
    groups = near_duplicates(apart(1), rank=np.zeros(1, int), min_similarity=0.9, identities=identities)
    assert (groups.survivor.tolist(), groups.reason, groups.component_size.tolist()) == ([0], [None], [1])


@pytest.mark.parametrize("identities", [None, np.zeros(0, np.uint64)])
def test_no_records_make_no_groups(identities: np.ndarray | None) -> None:
    empty = np.empty((0, 4), np.float32)
    groups = near_duplicates(empty, rank=np.empty(0, int), min_similarity=0.9, identities=identities)
    assert [len(groups.survivor), len(groups.similarity), len(groups.reason), len(groups.component_size)] == [0] * 4


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("A cat sleeps.", "a CAT sleeps", True),
        ("A cat - sleeps!", "A  cat\tsleeps", True),
        ("Straße", "STRASSE", True),
        ("Room 12", "Room 1 2", True),
        ("A cat sleeps.", "A cat slept.", False),
        ("Room 12", "Room 21", False),
        ("日本語。", "日本語", True),
        ("日本語", "日本", False),
    ],
)
def test_text_identity_sees_letters_and_digits_alone(one: str, other: str, is_same: bool) -> None:
    assert (text_identity(one) == text_identity(other)) is is_same
    assert 0 <= text_identity(one) < 2**64
