"""Drift: what a codebook keeps of its fit, how new rows differ from it, and what asks for a refit."""

from dataclasses import replace

import numpy as np
import pytest

from realsyn_ops.stages.drift import (
    Drift,
    DriftLimits,
    Fit,
    divergence,
    drift,
    drift_reasons,
    excess_bits,
    fit_statistics,
)

FIT = Fit(n_rows=200, seed=1, sizes=(100, 100), far_below=0.5)
STEADY = Drift(0.05, 0.01, 1.3, 0.02, 0.02, 0.1)


def test_a_fit_keeps_its_sizes_and_what_one_row_in_twenty_did_not_reach() -> None:
    similarities = np.arange(1, 101, dtype=np.float32) / 100
    fit = fit_statistics(np.repeat([0, 2], 50), similarities, k=4, seed=7)
    assert (fit.n_rows, fit.seed, fit.sizes) == (100, 7, (50, 0, 50, 0))
    assert (similarities < fit.far_below).mean() == pytest.approx(0.05)


def test_a_fit_of_no_rows_finds_nothing_far() -> None:
    assert fit_statistics(np.empty(0, np.int64), np.empty(0), k=1, seed=0) == Fit(0, 0, (0,), -1.0)


def test_rows_like_those_of_the_fit_have_not_drifted() -> None:
    rng = np.random.default_rng(0)
    clusters, similarities = rng.integers(0, 50, 20_000), rng.normal(0.6, 0.1, 20_000)
    fit = fit_statistics(clusters[:10_000], similarities[:10_000], k=50, seed=1)
    found = drift(fit, clusters[10_000:], similarities[10_000:], words={"cat": 5}, fitted_words={"cat": 500})
    assert found.far_share == pytest.approx(0.05, abs=0.01)
    assert found.distance == pytest.approx(found.distance_by_chance, abs=0.002)
    assert drift_reasons(found, DriftLimits()) == []


def test_rows_of_another_kind_have_drifted_in_every_figure() -> None:
    fit = Fit(n_rows=1_000, seed=1, sizes=(100,) * 10, far_below=0.5)
    found = drift(fit, np.zeros(50, np.int64), np.full(50, 0.4), words={"ox": 9}, fitted_words={"cat": 500})
    assert (found.far_share, found.largest_share, found.imbalance) == (1.0, 1.0, pytest.approx(10.0))
    assert len(drift_reasons(found, DriftLimits())) == 5


def test_no_rows_have_not_drifted() -> None:
    found = drift(FIT, np.empty(0, np.int64), np.empty(0), words={}, fitted_words={"cat": 1})
    assert drift_reasons(found, DriftLimits()) == []


def test_the_same_rows_have_the_same_figures() -> None:
    rows = np.array([0, 1, 1]), np.array([0.7, 0.4, 0.9])
    assert drift(FIT, *rows, words={"a": 1}, fitted_words={"a": 2}) == drift(
        FIT, *rows, words={"a": 1}, fitted_words={"a": 2}
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"far_share": 0.16}, "0.16 of the sentences are far from their centroid, at most 0.15"),
        ({"largest_share": 0.2}, "0.2 of the sentences are in the largest cluster, at most 0.1"),
        ({"imbalance": 6.0}, "6 is the imbalance of the clusters, at most 5"),
        ({"distance": 0.4, "distance_by_chance": 0.1}, "0.3 is the distance of the clusters' sizes, chance taken off"),
        ({"excess_bits": 1.5}, "1.5 bits a word more than by their own counts, at most 1"),
    ],
)
def test_each_figure_past_its_limit_is_a_reason(changed: dict[str, float], reason: str) -> None:
    [found] = drift_reasons(replace(STEADY, **changed), DriftLimits())
    assert found.startswith(reason)


def test_a_figure_at_its_limit_is_no_reason() -> None:
    assert drift_reasons(Drift(0.15, 0.1, 5.0, 0.1, 0.0, 1.0), DriftLimits()) == []


@pytest.mark.parametrize(
    ("sizes", "others", "expected"),
    [
        ([5, 5], [50, 50], 0.0),
        ([7, 0], [0, 3], 1.0),
        ([1, 0], [1, 1], 0.311),
        ([1, 1], [1, 0], 0.311),
    ],
)
def test_divergence_is_0_for_equal_shares_and_1_for_disjoint_ones(
    sizes: list[int], others: list[int], expected: float
) -> None:
    assert divergence(np.array(sizes), np.array(others)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "fitted", "expected"),
    [
        ({}, {"cat": 1}, 0.0),
        ({"cat": 2, "dog": 2}, {"cat": 10**6, "dog": 10**6}, 0.0),
        ({"cat": 5}, {"cat": 10**6, "dog": 10**6}, 1.0),
        ({"ox": 5}, {"cat": 1_022}, 10.0),
        ({"ox": 3, "yak": 2}, {"cat": 1_022}, 10.0),
        ({"ox": 1}, {}, 0.0),
    ],
    ids=["no words", "as fitted", "half of the fit is missing", "unknown", "unknown ones are one word", "no fit"],
)
def test_excess_bits_are_what_the_fitted_counts_waste_on_the_words(
    words: dict[str, int], fitted: dict[str, int], expected: float
) -> None:
    assert excess_bits(words, fitted) == pytest.approx(expected, abs=1e-2)
