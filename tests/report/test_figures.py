import pytest
from report_example import example_report, step

from realsyn_ops.records import Reason
from realsyn_ops.report import wording
from realsyn_ops.report.drawings import draw_bands, draw_clusters
from realsyn_ops.report.figures import read_figures


def read_step(**values: object) -> object:
    return read_figures({"funnel": {"images": [values]}}).funnel["images"][0]


def test_stages_add_up_over_days_and_keep_the_highest_memory() -> None:
    embed, retrieve = read_figures(example_report()).stages
    assert (embed.stage, embed.tasks, embed.seconds, embed.cpu_seconds) == ("embed", 8, 90.0, 45.0)
    assert embed.peak_rss_bytes == 1_450_000_000
    assert retrieve.stage == "retrieve"


def test_the_same_stage_of_two_dags_stays_two_rows() -> None:
    rows = [{"dag": dag, "stage": "embed", "seconds": 1.0} for dag in ("curate_images", "cluster_sentences")]
    assert [cost.dag for cost in read_figures({"stages": rows}).stages] == ["curate_images", "cluster_sentences"]


@pytest.mark.parametrize(
    ("values", "drop", "n_rejected", "n_unaccounted"),
    [
        ({"n_in": 200, "n_kept": 150, "rejects": {"emoji": 50}}, 0.25, 50, 0),
        ({"n_in": 200, "n_kept": 150, "rejects": {"emoji": 47}}, 0.25, 50, 3),
        ({"n_in": 0, "n_kept": 0, "rejects": {}}, None, 0, 0),
        ({"n_in": 10, "n_kept": 10, "rejects": None}, 0.0, 0, 0),
        ({}, None, 0, 0),
    ],
)
def test_a_step_says_what_it_rejected_and_what_has_no_reason(
    values: dict, drop: float | None, n_rejected: int, n_unaccounted: int
) -> None:
    read = read_step(**values)
    assert (read.drop, read.n_rejected, read.n_unaccounted) == (drop, n_rejected, n_unaccounted)


@pytest.mark.parametrize(
    ("paper_in", "paper_kept", "paper_share", "drop"),
    [
        (336, 285, None, 51 / 336),
        (336, 285, 0.848, 51 / 336),
        (None, 285, 0.152, 0.152),
        (None, None, -0.152, 0.152),
        (118, 336, None, None),
        (None, None, None, None),
    ],
)
def test_the_paper_share_is_the_rejected_one(
    paper_in: int | None, paper_kept: int | None, paper_share: float | None, drop: float | None
) -> None:
    read = read_step(n_in=1, n_kept=1, paper_in=paper_in, paper_kept=paper_kept, paper_share=paper_share)
    assert read.paper_drop == pytest.approx(drop)


def test_reasons_are_sorted_by_count_then_name_and_zeros_left_out() -> None:
    read = read_step(n_in=9, n_kept=1, rejects={"url": 2, "emoji": 2, "no_action": 4, "low_entropy": 0})
    assert read.rejects == (("no_action", 4), ("emoji", 2), ("url", 2))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand more", "two lines and more"),
        ("\x1b[31mred\x07", " [31mred "),
        ("half \ud83d pair", "half \N{REPLACEMENT CHARACTER} pair"),
        ("turn \u202egnp.exe\u202c", "turn gnp.exe"),
        ("naïve 🎉 日本", "naïve 🎉 日本"),
    ],
)
def test_text_is_made_printable(text: str, shown: str) -> None:
    assert wording.printable({text: [text]}) == {shown: [shown]}


def test_every_reason_is_explained() -> None:
    assert set(wording.REASON_MEANING) == {str(reason) for reason in Reason}
    assert wording.reason_meaning("a_reason_of_tomorrow") == ""


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (wording.short_count(2_130_000_000), "2.13B"),
        (wording.short_count(168_300_000), "168.3M"),
        (wording.short_count(840), "840"),
        (wording.short_count(None), "–"),
        (wording.drop(0.152), "−15.2%"),
        (wording.drop(0.0001), "0.0%"),
        (wording.drop(None), "–"),
        (wording.seconds(9.04), "9.0 s"),
        (wording.seconds(59.96), "1 min 00 s"),
        (wording.seconds(3_725), "1 h 02 min"),
        (wording.seconds(float("nan")), "–"),
        (wording.megabytes(512_000_000), "512 MB"),
        (wording.megabytes(999_900_000), "1.00 GB"),
        (wording.megabytes(0), "–"),
        (wording.number(0.11324), "0.113"),
        (wording.number(8_698.2), "8,698"),
        (wording.number(900), "900"),
        (wording.number(None), ""),
        (wording.number("c0ffee"), "c0ffee"),
        (wording.number(float("inf")), "–"),
        (wording.plural(1, "pair"), "1 pair"),
        (wording.plural(1_200, "pair"), "1,200 pairs"),
    ],
)
def test_numbers_are_worded(shown: str, words: str) -> None:
    assert shown == words


def test_bands_narrow_on_one_scale() -> None:
    figures = read_figures({"funnel": {"images": [step("extract", 100, 50), step("quality", 50, 0, (100, 80))]}})
    first, second = draw_bands(figures.funnel["images"])
    assert first.came_in == "M0.00 0H100.00V100H0.00Z"
    assert first.kept.startswith("M0.00 0H100.00C") and "75.00 100H25.00" in first.kept
    assert second.came_in == "M25.00 0H75.00V100H25.00Z"
    assert "50.00 100H50.00" in second.kept
    assert (first.paper, second.paper) == ("", "M30.00 76V100M70.00 76V100")


def test_a_step_that_keeps_almost_nothing_is_still_seen() -> None:
    figures = read_figures({"funnel": {"images": [step("quality", 1_000_000, 1)]}})
    assert "50.40 100H49.60" in draw_bands(figures.funnel["images"])[0].kept


def test_clusters_are_drawn_from_large_to_small_with_the_cap() -> None:
    drawn = draw_clusters([10, 40], [10, 20], 20)
    assert drawn is not None
    assert drawn.before == "M5.500 100V0.00h39.000V100ZM55.500 100V75.00h39.000V100Z"
    assert drawn.after == "M5.500 100V50.00h39.000V100ZM55.500 100V75.00h39.000V100Z"
    assert (drawn.cap_y, drawn.highest, drawn.clusters_per_bar) == (50.0, 40, 1)


def test_many_clusters_share_bars() -> None:
    drawn = draw_clusters(list(range(1, 1001)), [1] * 1000, None, max_bars=100)
    assert drawn is not None
    assert (drawn.before.count("M"), drawn.clusters_per_bar, drawn.highest, drawn.cap_y) == (100, 10, 1000, None)


@pytest.mark.parametrize(("before", "after", "bars_after"), [([5, 3], [4], 1), ([5], [4, 3], 1), ([5, 3], [], 0)])
def test_size_lists_of_other_lengths_are_drawn_too(before: list[int], after: list[int], bars_after: int) -> None:
    drawn = draw_clusters(before, after, 4)
    assert drawn is not None
    assert drawn.after.count("M") == bars_after


@pytest.mark.parametrize("before", [[], [0, 0]])
def test_no_clusters_are_no_drawing(before: list[int]) -> None:
    assert draw_clusters(before, [], 4) is None
