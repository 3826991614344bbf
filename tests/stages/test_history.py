"""A day beside earlier days: which figures are unusual, and when nothing is said."""

from typing import Any

import pytest

from realsyn_ops.stages.history import MIN_COUNT, MIN_DAYS, Tolerance, compare

TOLERANCE = Tolerance(max_count_change=4, max_share_change=0.2, max_length_change=2, min_likeness=0.8)


def day(n: float = 100, share: float = 0.3, length: float = 20, vector: tuple[float, ...] = (1.0, 0.0)) -> Any:
    vectors = {"vectors": {"likeness": list(vector)}} if vector else {}
    return {"counts": {"images": n}, "shares": {"rejected": share}, "lengths": {"words": length}} | vectors


def unusual(figures: Any, earlier: list[Any]) -> list[str]:
    return [row["key"] for row in compare(figures, earlier, TOLERANCE) if not row["is_usual"]]


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        (day(), []),
        (day(n=400), []),
        (day(n=401), ["images"]),
        (day(n=25), []),
        (day(n=24), ["images"]),
        (day(n=0), ["images"]),
        (day(share=0.49), []),
        (day(share=0.51), ["rejected"]),
        (day(share=0.09), ["rejected"]),
        (day(length=41), ["words"]),
        (day(length=9.9), ["words"]),
        (day(vector=(0.9, 0.4)), []),
        (day(vector=(0.5, 0.9)), ["likeness"]),
        (day(vector=()), []),
        (day(n=900, share=0.9, length=90, vector=(0.0, 1.0)), ["images", "words", "rejected", "likeness"]),
    ],
)
def test_a_figure_is_unusual_beyond_its_tolerance_of_the_median_day(figures: Any, named: list[str]) -> None:
    earlier = [day(n=50), day(), day(n=3_000)]
    assert unusual(figures, earlier) == named


def test_nothing_is_usual_before_three_days_or_of_small_ones() -> None:
    odd = day(n=9_000, share=1.0)
    assert unusual(odd, [day()] * MIN_DAYS) == ["images", "rejected"]
    assert compare(odd, [day()] * (MIN_DAYS - 1), TOLERANCE) == []
    assert compare(odd, [day(n=MIN_COUNT - 1)] * MIN_DAYS, TOLERANCE) == []


def test_a_figure_that_earlier_days_lack_or_vectors_of_another_encoder_are_not_compared() -> None:
    other = {"counts": {"images": 100}, "vectors": {"likeness": [1.0, 0.0, 0.0]}}
    assert [row["key"] for row in compare(day(), [other] * 3, TOLERANCE)] == ["images"]
