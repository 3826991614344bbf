"""Near-duplicates: who survives, who belongs to whom, and that neither order nor chains change the answer."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realsyn_ops.records import Reason
from realsyn_ops.stages.dedup import (
    Groups,
    Kind,
    Links,
    cosine,
    cosine_links,
    crop_links,
    crop_windows,
    group,
    hash_links,
    head_basis,
    merge_links,
    near_cells,
    near_duplicates,
    rows_near,
    text_bands,
    text_identity,
    text_links,
    vector_heads,
    vector_identity,
)
from realsyn_ops.stages.dedup.links import first_holders
from realsyn_ops.stages.embed import perceptual_hash

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


def cells_of(vectors: np.ndarray, *, n_cells: int, min_similarity: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits and cells by centroids that are other random vectors of the same space."""
    centroids = random_vectors(n_cells, seed=9, dim=vectors.shape[1])
    return near_cells(vectors, centroids, min_similarity=min_similarity)


def rows_of(limits: np.ndarray, cells: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = [cells[limits[i] : limits[i + 1]] for i in rows]
    return np.r_[0, np.cumsum([len(part) for part in parts])], np.concatenate([np.empty(0, np.int32), *parts])


def clumped(n: int, *, seed: int, dim: int = 16) -> np.ndarray:
    """Vectors of which many are near others, some are equal, and some chain."""
    rng = np.random.default_rng(seed)
    vectors = random_vectors(max(1, n // 4), seed=seed, dim=dim)[rng.integers(0, max(1, n // 4), n)]
    moved = vectors + rng.choice([0, 0.12, 0.4], (n, 1)) * random_vectors(n, seed=seed + 100, dim=dim)
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def same_links(one: Links, other: Links) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("first", "second", "similarity"))


def link_pairs(links: Links) -> list[tuple[int, int]]:
    return list(zip(links.first.tolist(), links.second.tolist(), strict=True))


PER_CELL = st.sampled_from([0, 8, 1_000])
"""Of old records none, some or all are wide: compared with everything new, not cell by cell."""


def days_of(data: st.DataObject, n: int) -> np.ndarray:
    """(n,) the day, of up to four, on which each record arrives."""
    return np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.int64)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_split_into_days_gives_the_links_and_groups_of_a_rebuild(data: st.DataObject) -> None:
    """Records arrive day by day, in any order, among them equal ones; links of all days are merged as they come."""
    n = data.draw(st.integers(2, 60))
    vectors = clumped(n, seed=data.draw(st.integers(0, 9)))
    vectors[n // 2 :: 5] = vectors[0]
    hashes = np.array(data.draw(st.lists(st.integers(0, 40), min_size=n, max_size=n)), np.uint64)
    limits, cells = cells_of(vectors, n_cells=12, min_similarity=0.9)
    order = np.array(data.draw(st.permutations(range(n))))
    days = np.sort(days_of(data, n))
    per_cell = data.draw(PER_CELL)
    found: dict[str, list[Links]] = {"vectors": [], "hashes": []}
    for day in np.unique(days):
        here = order[days <= day]
        is_new = days[days <= day] == day
        lists = rows_of(limits, cells, here)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(cosine, "_PER_CELL", per_cell)
            found["vectors"].append(cosine_links(vectors[here], *lists, is_new, min_similarity=0.9).at(here))
        found["hashes"].append(hash_links(hashes[here], is_new, max_distance=1).at(here))
    everything = np.ones(n, bool)
    same = vector_identity(vectors)
    rebuilt = {
        "vectors": cosine_links(vectors, limits, cells, everything, min_similarity=0.9),
        "hashes": hash_links(hashes, everything, max_distance=1),
    }
    merged = {name: merge_links(parts) for name, parts in found.items()}
    assert same_links(merged["vectors"].at(first_holders(same)), rebuilt["vectors"])
    assert same_links(merged["hashes"].at(first_holders(hashes)), rebuilt["hashes"])
    rank = np.array(data.draw(st.permutations(range(n))))
    groups, again = (
        group(
            [
                Kind(Reason.PERCEPTUAL_DUPLICATE, hashes, links["hashes"]),
                Kind(Reason.SEMANTIC_DUPLICATE, same, links["vectors"]),
            ],
            rank=rank,
        )
        for links in (merged, rebuilt)
    )
    assert groups.survivor.tolist() == again.survivor.tolist()
    assert groups.reason == again.reason
    assert np.array_equal(groups.similarity, again.similarity, equal_nan=True)
    assert groups.component_size.tolist() == again.component_size.tolist()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_links_between_values_give_the_groups_of_links_between_all_records(data: st.DataObject) -> None:
    """Against the rule itself, applied record by record to all pairs of all kinds."""
    n = data.draw(st.integers(1, 30))
    hashes = np.array(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)), np.uint64)
    numbers = np.array(data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    vectors = at_angles(*(10.0 * numbers))
    rank = np.array(data.draw(st.permutations(range(n))))
    near = float(np.cos(np.radians(10.5)))
    differing = np.bitwise_count(hashes[:, None] ^ hashes) <= 1
    linked = differing | (abs(numbers[:, None] - numbers) <= 1)
    survivor = np.full(n, -1)
    for i in np.argsort(rank):
        if survivor[i] < 0:
            survivor[linked[i] & (survivor < 0)] = i
    groups = near_duplicates(vectors, rank=rank, min_similarity=near, identities=hashes, max_hash_distance=1)
    assert groups.survivor.tolist() == survivor.tolist()
    perceptual = differing[np.arange(n), survivor]
    expected = np.where(perceptual, Reason.PERCEPTUAL_DUPLICATE, Reason.SEMANTIC_DUPLICATE)
    assert groups.reason == [None if s == i else expected[i] for i, s in enumerate(survivor)]


@pytest.mark.parametrize("per_cell", [0, 300, 1_000_000])
def test_no_pair_is_lost_where_old_records_are_near_many_cells(per_cell: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some pairs are found from the old record's cells alone, whether it is looked for in them or in everything new."""
    monkeypatch.setattr(cosine, "_PER_CELL", per_cell)
    draw = np.random.default_rng(4)
    old = draw.standard_normal((300, 8))
    vectors = np.concatenate([old, old + 0.2 * draw.standard_normal((300, 8))])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    limits, cells = cells_of(vectors, n_cells=12, min_similarity=0.9)
    is_new = np.arange(600) >= 300
    first, second = np.nonzero(np.triu(vectors.astype(np.float64) @ vectors.T.astype(np.float64) >= 0.9, 1))
    first, second = (end[is_new[second]] for end in (first, second))
    of = [set(part.tolist()) for part in np.split(cells, limits[1:-1])]
    assert any(not is_new[i] and cells[limits[i]] not in of[j] for i, j in zip(first, second, strict=True))
    links = cosine_links(vectors, limits, cells, is_new, min_similarity=0.9)
    assert list(zip(links.first, links.second, strict=True)) == list(zip(first, second, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9), st.lists(st.integers(1, 15), max_size=3, unique=True), st.sets(st.integers(0, 79)), PER_CELL)
def test_ranges_of_cells_add_up_to_the_whole(seed: int, cuts: list[int], new: set[int], per_cell: int) -> None:
    """Each range holds only the rows that have a cell there."""
    vectors = clumped(80, seed=seed)
    limits, cells = cells_of(vectors, n_cells=16, min_similarity=0.85)
    is_new = np.isin(np.arange(80), sorted(new))
    whole = cosine_links(vectors, limits, cells, is_new, min_similarity=0.85)
    edges = [0, *sorted(cuts), 16]
    parts = []
    for start, stop in pairwise(edges):
        inside = (cells >= start) & (cells < stop)
        here = rows_near(limits, cells, (start, stop))
        assert here.tolist() == np.flatnonzero(np.add.reduceat(inside, limits[:-1])).tolist()
        mine = vectors[here], *rows_of(limits, cells, here), is_new[here]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(cosine, "_PER_CELL", per_cell)
            part = cosine_links(*mine, min_similarity=0.85, cell_range=(start, stop))
        parts.append(part.at(here))
    assert same_links(merge_links(parts), whole)


@pytest.mark.parametrize("dim", [16, 95, 96, 200])
def test_every_pair_that_shares_a_cell_is_linked_by_its_exact_cosine(dim: int) -> None:
    """In few and in many dimensions, of which a head is looked at first; new ones with all, never old with old."""
    vectors = clumped(400, seed=4, dim=dim)
    limits, cells = cells_of(vectors, n_cells=16, min_similarity=0.9)
    lists = [set(cells[a:b].tolist()) for a, b in pairwise(limits)]
    homes = cells[limits[:-1]]
    is_new = np.arange(400) % 7 == 0
    exact = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    expected = [
        (i, j)
        for i, j in zip(*np.nonzero(np.triu(exact >= 0.9, 1)), strict=True)
        if (is_new[i] or is_new[j]) and (homes[i] in lists[j] or homes[j] in lists[i])
        and not np.array_equal(vectors[i], vectors[j])
    ]  # fmt: skip
    links = cosine_links(vectors, limits, cells, is_new, min_similarity=0.9)
    holders = first_holders(vector_identity(vectors))
    is_fresh = np.array([is_new[holders == holder].all() for holder in holders])
    wanted = {(*sorted((holders[i], holders[j])),) for i, j in expected if is_fresh[i] or is_fresh[j]}
    assert set(link_pairs(links)) == wanted
    assert len(wanted) > 20
    assert links.similarity == pytest.approx(exact[links.first, links.second], abs=1e-12)


class ReadRows:
    """Rows that are no array, and how many were read of them."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors, self.n_read = vectors, 0

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        self.n_read += len(positions)
        return self.vectors[positions]


@pytest.mark.parametrize("min_similarity", [0.6, 0.9])
def test_heads_kept_as_float16_give_the_same_links_and_only_candidates_are_read(min_similarity: float) -> None:
    vectors = clumped(600, seed=5, dim=200)
    limits, cells = cells_of(vectors, n_cells=16, min_similarity=min_similarity)
    is_new = np.arange(600) % 50 == 0
    kept = vector_heads(vectors, head_basis(vectors[:300])).astype(np.float16)
    rows = ReadRows(vectors)
    known = {"identities": vector_identity(vectors), "heads": kept, "min_similarity": min_similarity}
    links = cosine_links(rows, limits, cells, is_new, **known)
    assert same_links(links, cosine_links(vectors, limits, cells, is_new, min_similarity=min_similarity))
    assert len(links) > 0
    assert rows.n_read < 300


@pytest.mark.parametrize("min_similarity", [0.5, 0.9, 0.99, 1.0])
def test_cells_are_those_whose_border_is_near(min_similarity: float) -> None:
    vectors, centroids = random_vectors(300, seed=1, dim=8), random_vectors(20, seed=2, dim=8)
    limits, cells = near_cells(vectors, centroids, min_similarity=min_similarity)
    scores = vectors.astype(np.float64) @ centroids.T.astype(np.float64)
    reach = np.sqrt(2 - 2 * min_similarity) / 2
    for i in range(300):
        home, *others = cells[limits[i] : limits[i + 1]].tolist()
        assert home == scores[i].argmax()
        apart = np.linalg.norm(centroids[home] - centroids.astype(np.float64), axis=1)
        behind = scores[i, home] - scores[i] - reach * apart
        assert {c for c in range(20) if behind[c] <= 0} - {home} <= set(others)
        assert set(others) <= {c for c in range(20) if behind[c] <= 2e-4}
        assert others == sorted(others)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_near_duplicate_is_missed_whatever_the_centroids(data: st.DataObject) -> None:
    """The cells of near-duplicates meet, of those along the line between two centroids too; so all pairs are linked."""
    seed, dim = data.draw(st.integers(0, 99)), data.draw(st.sampled_from([2, 3, 8, 40]))
    min_similarity = data.draw(st.sampled_from([0.6, 0.85, 0.9, 0.95]))
    centroids = clumped(data.draw(st.integers(1, 30)), seed=seed, dim=dim)
    ways = centroids[:, None] + np.linspace(0, 1, 9)[None, :, None] * (centroids[::-1] - centroids)[:, None]
    vectors = np.concatenate([clumped(40, seed=seed + 1, dim=dim), ways.reshape(-1, dim).astype(np.float32)])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    everything = np.ones(len(vectors), bool)
    limits, cells = near_cells(vectors, centroids, min_similarity=min_similarity)
    links = cosine_links(vectors, limits, cells, everything, min_similarity=min_similarity)
    one = np.arange(len(vectors) + 1), np.zeros(len(vectors), np.int32)
    assert same_links(links, cosine_links(vectors, *one, everything, min_similarity=min_similarity))


def test_cells_do_not_depend_on_the_rows_of_a_call() -> None:
    """Among rows on the border of cells, to the last bit, and rows as near to every centroid."""
    centroids = random_vectors(100, seed=2, dim=32)
    middles = centroids[:99] + centroids[1:]
    vectors = np.concatenate([random_vectors(2_000, seed=1, dim=32), middles, np.zeros((3, 32), np.float32)])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    limits, cells = near_cells(vectors, centroids, min_similarity=0.9)
    for rows in (np.arange(0, 2_102, 3), np.arange(1_995, 2_102), np.array([2_050]), np.arange(2_101, -1, -1)):
        some_limits, some = near_cells(vectors[rows], centroids, min_similarity=0.9)
        wanted_limits, wanted = rows_of(limits, cells, rows)
        assert (some_limits.tolist(), some.tolist()) == (wanted_limits.tolist(), wanted.tolist())


def test_no_rows_have_no_cells_and_no_links() -> None:
    none = np.empty((0, 16), np.float32)
    limits, cells = cells_of(none, n_cells=4, min_similarity=0.9)
    assert (limits.tolist(), cells.tolist()) == ([0], [])
    assert len(cosine_links(none, limits, cells, np.empty(0, bool), min_similarity=0.9)) == 0
    assert len(hash_links(np.empty(0, np.uint64), np.empty(0, bool), max_distance=4)) == 0
    assert len(text_links([], text_bands([]), np.empty(0, bool), min_jaccard=0.8)) == 0


@pytest.mark.parametrize("n", [3, 100_000])
def test_equal_records_make_one_group_and_no_links(n: int) -> None:
    """100,000 equal records are 5 billion pairs: none of them is made, and one record near them all is linked once."""
    vectors = np.tile(at_angles(0), (n, 1))
    vectors[n // 2] = at_angles(3)[0]
    hashes = np.full(n, 77, np.uint64)
    hashes[n - 1] = 76
    everything = np.ones(n, bool)
    links = cosine_links(vectors, np.arange(n + 1), np.zeros(n, int), everything, min_similarity=0.99)
    assert link_pairs(links) == [(0, n // 2)]
    assert link_pairs(hash_links(hashes, everything, max_distance=1)) == [(0, n - 1)]
    groups = near_duplicates(vectors, rank=np.arange(n)[::-1], min_similarity=0.99, identities=hashes)
    assert groups.survivor.tolist() == [n - 1] * n
    assert groups.component_size.tolist() == [n] * n


@pytest.mark.parametrize("max_distance", [0, 1, 4, 7, 9])
def test_hash_links_are_all_pairs_of_new_and_any_within_the_distance(max_distance: int) -> None:
    """Among hashes of which many share their upper half, as those of plain pictures do."""
    rng = np.random.default_rng(5)
    hashes = rng.integers(0, 2**64, 40, dtype=np.uint64)[rng.integers(0, 40, 500)]
    for _ in range(9):
        hashes[rng.random(500) < 0.5] ^= np.uint64(1) << np.uint64(rng.integers(0, 64))
    hashes = np.unique(hashes)
    is_new = rng.random(len(hashes)) < 0.3
    distances = np.bitwise_count(hashes[:, None] ^ hashes)
    wanted = np.triu(distances <= max_distance, 1) & (is_new[:, None] | is_new) & (distances > 0)
    if max_distance == 0:
        wanted[:] = False
    links = hash_links(hashes, is_new, max_distance=max_distance)
    assert link_pairs(links) == list(zip(*(part.tolist() for part in np.nonzero(wanted)), strict=True))
    assert links.similarity == pytest.approx(1 - distances[links.first, links.second] / 64)


SENTENCE = "The old lighthouse on the northern cape was painted in red and white stripes by the men of the village."


@pytest.mark.parametrize(
    ("one", "other", "is_linked"),
    [
        (SENTENCE, SENTENCE.replace("northern", "norhtern"), True),
        (SENTENCE, f"{SENTENCE} Photo", True),
        (SENTENCE, SENTENCE[8:], True),
        (SENTENCE, SENTENCE.replace(" ", ""), False),
        (SENTENCE, SENTENCE.upper(), False),
        (SENTENCE, SENTENCE.replace("red and white stripes", "one bright shade of blue"), False),
        (SENTENCE, "On the cape stood a lighthouse that villagers had painted in red and white.", False),
        ("Read more here", "Read more there", False),
        ("ha ha ha ha ha", "ha ha ha ha ha ha ha ha ha ha", False),
        ("cat", "cap", False),
        ("", "!", False),
    ],
)  # fmt: skip
def test_texts_are_linked_when_nearly_all_their_letters_run_alike(one: str, other: str, is_linked: bool) -> None:
    """Texts that differ in nothing but case and white space are equal: one value, no link."""
    texts = [one, other]
    links = text_links(texts, text_bands(texts), np.ones(2, bool), min_jaccard=0.8)
    assert link_pairs(links) == ([(0, 1)] if is_linked else [])


def bag(text: str) -> Counter[str]:
    letters = "".join(c for c in text.casefold() if c.isalnum()).ljust(5, "\0")
    return Counter(letters[i : i + 5] for i in range(len(letters) - 4))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_text_links_have_their_exact_jaccard_and_do_not_depend_on_days(data: st.DataObject) -> None:
    changes = data.draw(st.lists(st.tuples(st.integers(0, 90), st.sampled_from("aeé ß0日")), min_size=2, max_size=20))
    texts = [SENTENCE[:place] + letter + SENTENCE[place + 1 :] for place, letter in changes]
    bands = text_bands(texts)
    days = days_of(data, len(texts))
    parts = []
    for day in np.unique(days):
        here = np.flatnonzero(days <= day)
        some = text_links([texts[i] for i in here], bands[here], days[here] == day, min_jaccard=0.8)
        parts.append(some.at(here))
    whole = text_links(texts, bands, np.ones(len(texts), bool), min_jaccard=0.8)
    same = np.array([text_identity(text) for text in texts], np.uint64)
    assert same_links(merge_links(parts).at(first_holders(same)), whole)
    for i, j, similarity in zip(whole.first, whole.second, whole.similarity, strict=True):
        one, other = bag(texts[i]), bag(texts[j])
        assert similarity == pytest.approx((one & other).total() / (one | other).total())
        assert similarity >= 0.8


def test_similar_texts_are_nearly_all_found() -> None:
    """2,000 sentences of random words, each with a copy in which one letter in fifty is another."""
    rng = np.random.default_rng(6)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    originals = ["".join(rng.choice(letters, 150)) for _ in range(2_000)]
    copies = [f"{text[:40]}{rng.choice(letters)}{text[41:90]}{rng.choice(letters)}{text[91:]}" for text in originals]
    texts = originals + copies
    links = text_links(texts, text_bands(texts), np.ones(4_000, bool), min_jaccard=0.8)
    differing = [i for i in range(2_000) if originals[i] != copies[i]]
    assert link_pairs(links) == [(i, i + 2_000) for i in differing]


def test_a_members_similarity_is_that_of_its_link() -> None:
    links = Links(np.array([0]), np.array([1]), np.array([0.93]))
    none = Links(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    groups = group(
        [
            Kind(Reason.PERCEPTUAL_DUPLICATE, np.array([1, 2, 3, 1]), none),
            Kind(Reason.SEMANTIC_DUPLICATE, np.array([5, 6, 5, 7]), links),
        ],
        rank=np.arange(4),
    )
    assert groups.survivor.tolist() == [0, 0, 0, 0]
    assert groups.similarity[:3].tolist() == [1.0, 0.93, 1.0]
    assert np.isnan(groups.similarity[3])
    assert groups.reason == [None, Reason.SEMANTIC_DUPLICATE, Reason.SEMANTIC_DUPLICATE, Reason.PERCEPTUAL_DUPLICATE]


def blurred_noise(seed: int) -> Image.Image:
    """A picture with large and small shapes, 160 x 120."""
    rng = np.random.default_rng(seed)
    layers = [
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)
        for size in ((4, 5), (9, 12), (30, 40))
    ]
    mixed = sum(np.asarray(layer, np.float64) * share for layer, share in zip(layers, (0.5, 0.3, 0.2), strict=True))
    return Image.fromarray(np.asarray(mixed, np.uint8))


def test_crops_are_linked_with_what_they_were_cut_from() -> None:
    """20 pictures and a crop of each, whose own hashes are far apart; new ones with all."""
    pictures = [blurred_noise(seed) for seed in range(20)]
    crops = [picture.crop((i % 12, 8 - i % 8, 140 + i % 12, 113 - i % 8)) for i, picture in enumerate(pictures)]
    hashes = np.array([[perceptual_hash(w) for w in crop_windows(p)] for p in pictures + crops], np.uint64)
    assert hashes.shape == (40, 37)
    assert np.bitwise_count(hashes[:20, 0] ^ hashes[20:, 0]).mean() > 10
    everything = np.ones(40, bool)
    links = crop_links(hashes, everything, max_distance=10)
    assert link_pairs(links) == [(i, i + 20) for i in range(20)]
    is_new = np.arange(40) % 20 < 5
    assert link_pairs(crop_links(hashes, is_new, max_distance=10)) == [(i, i + 20) for i in range(5)]
    assert len(crop_links(hashes, ~everything, max_distance=10)) == 0
    backwards = crop_links(hashes[::-1], everything, max_distance=10).at(np.arange(40)[::-1])
    assert same_links(backwards, links)


def test_a_window_of_a_tiny_picture_has_a_pixel() -> None:
    assert {min(window.size) for window in crop_windows(Image.new("RGB", (1, 3)))} == {1}
