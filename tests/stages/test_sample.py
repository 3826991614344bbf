"""Balance sampling: exact bounds, exact nested sizes, the smallest caps, and a draw that new images hardly change."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realsyn_ops.errors import PermanentError
from realsyn_ops.records import image_key
from realsyn_ops.stages.sample import (
    TOO_HIGH,
    TOO_LOW,
    Blocks,
    Bounds,
    Rows,
    cluster_sizes,
    fixed_scales,
    high_draws,
    key_words,
    select,
    similarity_bounds,
    solve_cap,
    solved_scales,
    tag_draws,
    tag_hashes,
    what_if,
)

WIDE = Bounds(-1.0, 1.0)
PLENTY = 2**30


def keys_of(n: int, *, salt: str = "") -> list[str]:
    return [image_key(f"{salt}{i}".encode()) for i in range(n)]


def rows_of(keys: list[str], clusters: Iterable[int], *, seed: int = 1, similarities: np.ndarray | None = None) -> Rows:
    words = key_words(keys)
    values = np.zeros(len(keys), np.float32) if similarities is None else similarities.astype(np.float32)
    return Rows(high_draws(words[:, 0], seed=seed), words[:, 1], np.fromiter(clusters, np.int32, len(keys)), values)


def in_blocks(rows: Rows, size: int = 1_000) -> Blocks:
    starts = range(0, len(rows.high), size)
    return lambda: (Rows(*(column[start : start + size] for column in rows)) for start in starts)


def places(rows: Rows, wanted: Iterable[int], *, bounds: Bounds = WIDE, memory_bytes: int = PLENTY) -> np.ndarray:
    """Of each row the smallest of these sizes that takes it."""
    k = int(rows.clusters.max(initial=0)) + 1
    sizes = cluster_sizes([(rows.clusters, rows.similarities)], bounds, n_clusters=k)
    scales = solved_scales(sizes, wanted)
    return select(in_blocks(rows), bounds, sizes, scales, memory_bytes=memory_bytes).places(rows)


def by_the_definition(rows: Rows, wanted: Iterable[int], bounds: Bounds) -> list[set[int]]:
    """In Python's own numbers: pairs within the bounds in order of rank in their cluster, then draw."""
    draws = [(int(high) << 64) | int(low) for high, low in zip(rows.high, rows.low, strict=True)]
    ranks: Counter[int] = Counter()
    order = []
    for i in sorted(range(len(draws)), key=draws.__getitem__):
        if bounds.lower <= rows.similarities[i] <= bounds.upper:
            order.append((ranks[int(rows.clusters[i])], draws[i], i))
            ranks[int(rows.clusters[i])] += 1
    chosen = [i for *_, i in sorted(order)]
    return [set(chosen[:n]) for n in sorted({min(n, len(chosen)) for n in wanted})]


@settings(max_examples=150, deadline=None)
@given(
    clusters=st.lists(st.integers(0, 9), max_size=120),
    wanted=st.lists(st.integers(1, 130), min_size=1, max_size=3),
    memory_bytes=st.sampled_from([64, 1_000, PLENTY]),
    same_bits=st.sampled_from([0, 20, 45, 62]),
    lie=st.sampled_from(["low", "high", "on a grid"]),
    seed=st.integers(0, 2**31 - 1),
)
def test_what_is_taken_is_the_order_s_first_so_many(
    clusters: list[int], wanted: list[int], memory_bytes: int, same_bits: int, lie: str, seed: int
) -> None:
    """Draws are also made to agree in their first or last bits, to lie low or high, which even ones never do."""
    similarities = np.random.default_rng(seed).random(len(clusters))
    rows = rows_of(keys_of(len(clusters)), clusters, seed=seed, similarities=similarities)
    shift = np.uint64(same_bits)
    high = {"low": rows.high >> shift, "high": ~(rows.high >> shift), "on a grid": (rows.high >> shift) << shift}[lie]
    rows = rows._replace(high=high)
    bounds = Bounds(0.1, 0.9)
    found = places(rows, wanted, bounds=bounds, memory_bytes=memory_bytes)
    expected = by_the_definition(rows, wanted, bounds)
    for scale, chosen in enumerate(expected):
        assert set(np.flatnonzero((found >= 0) & (found <= scale)).tolist()) == chosen
    assert ((found == TOO_LOW) == (rows.similarities < np.float32(0.1))).all()
    assert ((found == TOO_HIGH) == (rows.similarities > np.float32(0.9))).all()


@pytest.mark.parametrize("memory_bytes", [2**12, PLENTY])
@pytest.mark.parametrize("highest_bits", [0, 4])
def test_many_pairs_in_uneven_clusters_are_taken_as_defined(memory_bytes: int, highest_bits: int) -> None:
    """Also where all draws lie so high that none is among those looked at first."""
    clusters = np.minimum(np.random.default_rng(3).zipf(1.2, 20_000), 700) - 1
    rows = rows_of(keys_of(len(clusters)), clusters)
    rows = rows._replace(high=~(rows.high >> np.uint64(highest_bits)))
    wanted = [700, 5_000, 15_000]
    found = places(rows, wanted, memory_bytes=memory_bytes)
    for scale, chosen in enumerate(by_the_definition(rows, wanted, WIDE)):
        assert set(np.flatnonzero((found >= 0) & (found <= scale)).tolist()) == chosen


def test_all_in_one_cluster_is_a_uniform_draw_of_the_lowest() -> None:
    rows = rows_of(keys_of(5_000), [0] * 5_000)
    order = np.argsort(rows.high, kind="stable")
    assert set(np.flatnonzero(places(rows, [1_234]) == 0)) == set(order[:1_234])


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [(0.0, 1.0, (0.0, 1.0)), (0.075, 0.925, (0.07, 0.93)), (0.1, 0.9, (0.1, 0.9)), (0.25, 0.75, (0.25, 0.75))],
)
def test_bounds_stand_at_the_quantiles(lower: float, upper: float, expected: tuple[float, float]) -> None:
    similarities = np.random.default_rng(1).permutation(np.arange(101) / 100).astype(np.float32)
    (found,) = similarity_bounds(lambda: np.array_split(similarities, 7), [(lower, upper)])
    assert found == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60),
    st.lists(st.tuples(st.floats(0, 0.49), st.floats(0.51, 1)), min_size=1, max_size=4),
)
def test_bounds_are_values_that_a_sort_finds_and_what_is_within_is_counted(
    values: list[float], quantiles: list[tuple[float, float]]
) -> None:
    similarities = np.array(values, np.float32)
    ordered, last = np.sort(similarities), len(values) - 1
    found = similarity_bounds(lambda: np.array_split(similarities, 3), quantiles)
    expected = [(ordered[int(low * last)], ordered[int(np.ceil(high * last))]) for low, high in quantiles]
    assert found == expected
    within = [sum(low <= value <= high for value in similarities) for low, high in expected]
    assert what_if(lambda: np.array_split(similarities, 3), found) == within


def test_bounds_of_no_pairs_are_zero() -> None:
    assert similarity_bounds(lambda: iter([]), [(0.1, 0.9)]) == [(0.0, 0.0)]


def test_a_similarity_that_is_no_number_is_too_low() -> None:
    rows = rows_of(keys_of(3), [0] * 3, similarities=np.array([0.5, np.nan, 0.4]))
    assert places(rows, [3]).tolist() == [0, TOO_LOW, 0]


@pytest.mark.parametrize(
    ("sizes", "wanted", "cap"),
    [
        ([10, 10, 10], 30, 10),
        ([10, 10, 10], 29, 10),
        ([10, 10, 10], 6, 2),
        ([10, 10, 10], 7, 3),
        ([100, 1, 1], 3, 1),
        ([100, 1, 1], 4, 2),
        ([100, 1, 1], 1_000, 100),
        ([100, 1, 1], 0, 0),
        ([], 5, 0),
        ([0, 4, 0], 2, 2),
    ],
)
def test_the_cap_is_the_smallest_that_gives_enough(sizes: list[int], wanted: int, cap: int) -> None:
    assert solve_cap(np.array(sizes, np.int64), wanted) == cap


def test_no_cluster_passes_the_cap_and_none_stays_more_than_one_below() -> None:
    clusters = np.repeat([0, 1, 2, 3], [40, 3, 17, 9])
    rows = rows_of(keys_of(len(clusters)), clusters)
    for size in range(1, len(clusters) + 1):
        taken = np.bincount(clusters[places(rows, [size]) == 0], minlength=4)
        cap = solve_cap(np.bincount(clusters), size)
        assert taken.sum() == size
        assert (taken <= cap).all()
        assert (taken >= np.minimum(np.bincount(clusters), cap - 1)).all()


def test_a_larger_scale_keeps_what_a_smaller_one_took_whether_solved_together_or_alone() -> None:
    rows = rows_of(keys_of(70), np.repeat([0, 1, 2, 3, 4], [40, 3, 17, 1, 9]))
    alone = [set(np.flatnonzero(places(rows, [size]) == 0).tolist()) for size in range(1, 71)]
    assert all(small < large for small, large in pairwise(alone))
    together = places(rows, [20, 35, 50])
    for scale, size in enumerate((20, 35, 50)):
        assert set(np.flatnonzero(together <= scale).tolist()) == alone[size - 1]


def test_a_size_beyond_all_there_is_is_all_there_is_once() -> None:
    assert [scale.size for scale in solved_scales(np.array([5, 2]), [4, 7, 100])] == [4, 7]


def test_fixed_caps_give_what_they_give() -> None:
    sizes = np.array([50, 4, 30])
    assert fixed_scales(sizes, [20, 3, 20]) == [(9, 3), (44, 20)]
    clusters = np.repeat([0, 1, 2], sizes)
    rows = rows_of(keys_of(len(clusters)), clusters)
    selection = select(in_blocks(rows), WIDE, sizes, fixed_scales(sizes, [3, 20]), memory_bytes=PLENTY)
    assert np.bincount(clusters[selection.places(rows) == 0]).tolist() == [3, 3, 3]
    assert np.bincount(clusters[selection.places(rows) <= 1]).tolist() == [20, 4, 20]


def test_the_order_of_pairs_and_of_blocks_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    rows = rows_of(keys_of(3_000), rng.integers(0, 90, 3_000), similarities=rng.random(3_000))
    order = rng.permutation(3_000)
    shuffled = Rows(*(column[order] for column in rows))
    bounds = Bounds(0.1, 0.9)
    found = places(rows, [200, 777], bounds=bounds)
    assert (places(shuffled, [200, 777], bounds=bounds) == found[order]).all()


def test_another_seed_draws_others() -> None:
    keys = keys_of(100)
    first, second = (places(rows_of(keys, [0, 1] * 50, seed=seed), [20]) for seed in (1, 2))
    assert (first != second).sum() > 10


def test_a_draw_within_one_cluster_is_even() -> None:
    """Each of 40 keys is among the chosen half about every second time."""
    keys = keys_of(40)
    taken = sum((places(rows_of(keys, [0] * 40, seed=seed), [20]) == 0).astype(int) for seed in range(300))
    assert taken.min() > 110
    assert taken.max() < 190


@pytest.mark.parametrize("key", ["i123", "i" + "x" * 32, "i" + " " * 32, ""])
def test_what_is_no_key_is_named(key: str) -> None:
    with pytest.raises(PermanentError, match="is no key"):
        key_words([*keys_of(2), key])


def test_the_words_of_a_key_are_its_digits() -> None:
    assert key_words(["i00000000000000010000000000000002"]).tolist() == [[1, 2]]
    assert key_words([]).shape == (0, 2)


def long_tail(n: int, salt: str) -> tuple[list[str], np.ndarray]:
    """Keys and clusters: a few clusters hold most."""
    rng = np.random.default_rng(5)
    return keys_of(n, salt=salt), np.minimum(rng.zipf(1.3, n), 400) - 1


def test_one_percent_of_new_images_changes_less_than_two_percent_of_a_selection() -> None:
    """Of the release before, about as much leaves as is new: one percent, the least that an even draw can do."""
    old, clusters = long_tail(30_000, "old")
    new, others = long_tail(300, "new")
    rng = np.random.default_rng(6)
    similarities = rng.random(30_300)
    before = rows_of(old, clusters, similarities=similarities[:30_000])
    after = rows_of(old + new, np.r_[clusters, others], similarities=similarities)
    sets = []
    for rows in (before, after):
        (bounds,) = similarity_bounds(lambda rows=rows: iter([rows.similarities]), [(0.075, 0.925)])
        found = places(rows, [3_000, 10_000], bounds=bounds)
        sets.append([set(np.flatnonzero((found >= 0) & (found <= scale)).tolist()) for scale in (0, 1)])
    for small, large in zip(*sets, strict=True):
        assert 0 < len(small - large) <= 0.02 * len(small)
        assert 0 < len(large - small) <= 0.02 * len(small)


def test_a_removed_image_makes_room_for_the_next_of_its_cluster_or_of_the_last_rank_only() -> None:
    keys, clusters = long_tail(5_000, "k")
    rows = rows_of(keys, clusters)
    before = places(rows, [1_000]) == 0
    for gone in np.flatnonzero(before)[::50]:
        left = np.arange(len(keys)) != gone
        after = np.zeros(len(keys), bool)
        after[left] = places(Rows(*(column[left] for column in rows)), [1_000]) == 0
        came, went = np.flatnonzero(after & ~before), np.flatnonzero(before & ~after)
        assert gone in went
        assert len(came) == len(went) <= 2
        outside = [i for i in (*came, *went) if clusters[i] != clusters[gone]]
        assert len(outside) <= 1


def test_an_image_that_was_not_taken_leaves_without_a_trace() -> None:
    keys, clusters = long_tail(5_000, "k")
    rows = rows_of(keys, clusters)
    before = places(rows, [1_000]) == 0
    for gone in np.flatnonzero(~before)[::200]:
        left = np.arange(len(keys)) != gone
        assert (places(Rows(*(column[left] for column in rows)), [1_000]) == 0).tolist() == before[left].tolist()


def test_tags_are_balanced_as_metaclip_does_for_the_limit_that_gives_the_size() -> None:
    """A tag of m pairs is drawn with chance t/m by each; a pair is kept if one of its tags draws it."""
    rng = np.random.default_rng(8)
    n_tags = rng.integers(0, 4, 2_000)
    of_tags = np.minimum(rng.zipf(1.4, n_tags.sum()), 60) - 1
    limits = np.r_[0, np.cumsum(n_tags)]
    counts = np.bincount(of_tags, minlength=60)
    hashes = tag_hashes([f"tag {i}" for i in range(60)])
    rows = rows_of(keys_of(2_000), [0] * 2_000)
    high = tag_draws(rows.high, limits, hashes[of_tags], counts[of_tags])
    found = places(rows._replace(high=high, low=rows.high), [500]) == 0
    assert found.sum() == 500
    assert not found[n_tags == 0].any()
    limit = high.view(np.float64)[found].max()
    lots = [tag_draws(rows.high[[i]], np.array([0, 1]), hashes[[tag]], np.ones(1, np.int64)).view(np.float64)[0]
            for i in range(2_000) for tag in of_tags[limits[i] : limits[i + 1]]]  # fmt: skip
    drawn = np.array(lots) <= limit / counts[of_tags]
    kept = [drawn[limits[i] : limits[i + 1]].any() for i in range(2_000)]
    assert kept == found.tolist()
    assert abs(np.mean(lots) - 0.5) < 0.02


def test_rare_tags_are_kept_whole_and_common_ones_thinned() -> None:
    of_tags = np.repeat([0, 1, 2], [900, 90, 10])
    rows = rows_of(keys_of(1_000), [0] * 1_000)
    counts = np.bincount(of_tags)[of_tags]
    high = tag_draws(rows.high, np.arange(1_001), tag_hashes(["a", "b", "c"])[of_tags], counts)
    taken = np.bincount(of_tags[places(rows._replace(high=high, low=rows.high), [100]) == 0], minlength=3)
    assert taken[2] == 10
    assert abs(taken[0] - taken[1]) < 25


def test_no_pairs_make_an_empty_selection() -> None:
    assert places(rows_of([], []), [5]).tolist() == []
