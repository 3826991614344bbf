"""Balance sampling: bounds, the exact size, the smallest cap, and a draw that new images hardly change."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realsyn_ops.records import Reason, hash_order
from realsyn_ops.stages.sample import Selection, select, similarity_bounds, solve_cap

WIDE = (-1.0, 1.0)


def draw(sizes: list[int], size: int, *, seed: int = 1, prefix: str = "k") -> tuple[Selection, list[str]]:
    """Choose from clusters of these sizes; the chosen keys name their cluster."""
    keys = [f"{prefix}{cluster}-{i}" for cluster, n in enumerate(sizes) for i in range(n)]
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    chosen = select(keys, np.zeros(len(keys)), clusters, bounds=WIDE, size=size, seed=seed)
    return chosen, [key for key, reason in zip(keys, chosen.reasons, strict=True) if reason is None]


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [(0.0, 1.0, (0.0, 1.0)), (0.075, 0.925, (0.07, 0.93)), (0.1, 0.9, (0.1, 0.9)), (0.25, 0.75, (0.25, 0.75))],
)
def test_bounds_stand_at_the_quantiles(lower: float, upper: float, expected: tuple[float, float]) -> None:
    similarities = np.random.default_rng(1).permutation(np.arange(101) / 100)
    assert similarity_bounds(similarities, lower_quantile=lower, upper_quantile=upper) == expected


@pytest.mark.parametrize(("values", "expected"), [([], (0.0, 0.0)), ([0.4], (0.4, 0.4)), ([0.5, 0.1], (0.1, 0.5))])
def test_bounds_of_few_values_keep_them_all(values: list[float], expected: tuple[float, float]) -> None:
    assert similarity_bounds(np.array(values), lower_quantile=0.075, upper_quantile=0.925) == expected


def test_a_pair_outside_the_bounds_says_on_which_side() -> None:
    similarities = np.array([0.1, 0.2, 0.5, 0.8, 0.9])
    chosen = select(list("abcde"), similarities, np.zeros(5, int), bounds=(0.2, 0.8), size=5, seed=1)
    assert chosen.reasons == [Reason.SIMILARITY_TOO_LOW, None, None, None, Reason.SIMILARITY_TOO_HIGH]
    assert (chosen.lower, chosen.upper, chosen.cap) == (0.2, 0.8, 3)


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


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(0, 100), st.integers(0, 2**31 - 1))
def test_the_size_is_exact_and_no_cluster_passes_the_cap(sizes: list[int], wanted: int, seed: int) -> None:
    chosen, keys = draw(sizes, wanted, seed=seed)
    assert len(keys) == min(wanted, sum(sizes))
    taken = [sum(key.startswith(f"k{cluster}-") for key in keys) for cluster in range(len(sizes))]
    assert all(n <= chosen.cap for n in taken)
    assert all(n >= min(size, chosen.cap - 1) for n, size in zip(taken, sizes, strict=True))
    assert set(chosen.reasons) <= {None, Reason.CLUSTER_CAP}
    if chosen.cap:
        assert sum(min(size, chosen.cap - 1) for size in sizes) < max(1, min(wanted, sum(sizes)))


def test_a_larger_size_keeps_what_a_smaller_one_took() -> None:
    sizes = [40, 3, 17, 1, 9]
    drawn = [set(draw(sizes, size)[1]) for size in range(sum(sizes) + 1)]
    assert all(small < large for small, large in pairwise(drawn))


def test_the_order_of_pairs_does_not_matter() -> None:
    keys = [f"k{i}" for i in range(200)]
    similarities = np.random.default_rng(2).random(200)
    clusters = np.random.default_rng(3).integers(0, 9, 200)
    order = np.random.default_rng(4).permutation(200)
    rules = {"bounds": (0.1, 0.9), "size": 77, "seed": 5}
    chosen = select(keys, similarities, clusters, **rules)
    shuffled = select([keys[i] for i in order], similarities[order], clusters[order], **rules)
    assert shuffled.reasons == [chosen.reasons[i] for i in order]


def test_the_last_places_go_to_the_lowest_hashes_of_all_clusters() -> None:
    chosen, keys = draw([2] * 30, 45)
    second = [max((f"k{cluster}-0", f"k{cluster}-1"), key=lambda key: hash_order(key, 1)) for cluster in range(30)]
    assert chosen.cap == 2
    assert set(keys) & set(second) == set(sorted(second, key=lambda key: hash_order(key, 1))[:15])


def test_another_seed_draws_others() -> None:
    assert set(draw([50, 50], 20, seed=1)[1]) != set(draw([50, 50], 20, seed=2)[1])


def test_new_images_at_the_same_cap_only_displace_by_their_own_hashes() -> None:
    """Ten images join two clusters of fifty: who goes makes room for who came, and nobody else is drawn again."""
    keys = [f"k{i}" for i in range(110)]
    clusters = np.arange(110) % 2
    before = select(keys[:100], np.zeros(100), clusters[:100], bounds=WIDE, size=40, seed=1)
    after = select(keys, np.zeros(110), clusters, bounds=WIDE, size=40, seed=1)
    old = {keys[i] for i in range(100) if before.reasons[i] is None}
    new = {keys[i] for i in range(110) if after.reasons[i] is None}
    came = new - old
    assert before.cap == after.cap == 20
    assert came <= set(keys[100:])
    assert len(old - new) == len(came) > 0


def test_a_draw_within_one_cluster_is_even() -> None:
    """Each of 40 keys is among the chosen half about every second time."""
    taken = dict.fromkeys((f"k0-{i}" for i in range(40)), 0)
    for seed in range(300):
        for key in draw([40], 20, seed=seed)[1]:
            taken[key] += 1
    assert min(taken.values()) > 110
    assert max(taken.values()) < 190


def test_no_pairs_make_an_empty_selection() -> None:
    assert select([], np.empty(0), np.empty(0, int), bounds=WIDE, size=5, seed=1) == Selection([], -1.0, 1.0, 0)
