"""The benchmarks of the steps over all days: a day ends in the same as a rebuild, parts fit a budget, verdicts."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.material.convergence import cell_ranges
from benchmarks.material.convergence_runs import LIGHT_FACTOR, allowed_bytes
from benchmarks.material.convergence_tasks import day, fit, generate, rebuild
from benchmarks.material.plot import draw
from benchmarks.refresh import summarise as summarise_refresh
from benchmarks.scale import summarise as summarise_scale

BUDGET = 2**31
TIGHT = 2**19
"""So small that everything goes in parts."""
MB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("corpus")
    generate(made, 4_000, 400)
    fit(made)
    return made


def test_a_day_ends_in_what_a_rebuild_makes_within_any_budget(folder: Path) -> None:
    rebuild(folder, everything=False, memory_bytes=BUDGET)
    by_day = day(folder, BUDGET)
    in_parts = day(folder, TIGHT)
    whole = rebuild(folder, everything=True, memory_bytes=BUDGET)
    whole_in_parts = rebuild(folder, everything=True, memory_bytes=TIGHT)
    assert by_day["digests"] == in_parts["digests"] == whole["digests"] == whole_in_parts["digests"]
    assert by_day["n_searched"] < whole["n_searched"]
    assert all(n > 0 for of_kind in whole["n_links"].values() for n in of_kind.values())


def test_ranges_of_cells_hold_no_more_records_than_fit_but_for_one_cell() -> None:
    cells = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3])
    limits = np.arange(len(cells) + 1)
    new = np.ones(len(cells), bool)
    assert cell_ranges(limits, cells, new, n_cells=4, max_rows=3) == [(0, 2), (2, 3), (3, 4)]
    assert cell_ranges(limits, cells, cells == 2, n_cells=4, max_rows=3) == [(2, 3)]
    assert cell_ranges(limits, cells, new, n_cells=4, max_rows=100) == [(0, 4)]


def test_what_is_allowed_is_the_budget_what_was_held_before_and_the_light_columns() -> None:
    assert allowed_bytes({"fixed_bytes": 100, "light_bytes": 7}, 1_000) == 1_100 + 7 * LIGHT_FACTOR


def answer(cost: float, *, texts: str = "t", peak: int = 900 * MB) -> dict:
    return {
        "seconds": {"images: links": cost, "sentences: links": 2 * cost, "pair: search": cost},
        "peaks": {"pair: search": peak},
        "digests": {"images": "i", "sentences": "s", "texts": texts},
        "fixed_bytes": 50 * MB, "light_bytes": 100 * MB, "n_searched": 5, "share_scored": 0.03,
    }  # fmt: skip


def by_itself(seconds: float) -> dict[str, float]:
    """What 1,000 sentences and 100 images cost together, each by itself."""
    return {"sentence_seconds": seconds / 2_000, "image_seconds": seconds / 200}


@pytest.mark.parametrize(
    ("cost", "each", "texts", "holds"),
    [
        (0.3, 0, "t", [True, True, True]),
        (0.31, 0, "t", [True, False, True]),
        (0.31, 100, "t", [True, True, True]),
        (1.01, 1_000, "t", [True, True, False]),
        (2.1, 100, "t", [True, False, False]),
        (0.3, 0, "u", [False, True, True]),
    ],
)
def test_a_day_holds_by_its_cost_and_by_what_it_ends_in(
    cost: float, each: float, texts: str, holds: list[bool]
) -> None:
    before, whole = answer(10), answer(10)
    day = answer(cost, texts=texts)
    measured = summarise_refresh(1_000, by_itself(each), {"seconds": {"fit": 3.0}}, before, day, whole)
    assert [check.holds for check in measured.checks] == holds
    assert measured.figures["all, CPU-seconds"]["day"] == pytest.approx(4 * cost)


@pytest.mark.parametrize(
    ("costs", "each", "peak", "holds"),
    [
        ((1, 10), 0, 900, [True, True, True]),
        ((1, 13.1), 0, 900, [False, True, True]),
        ((1, 13.1), 4, 900, [True, True, True]),
        ((1, 40), 1_000, 900, [True, False, True]),
        ((1, 10), 0, 1_300, [True, True, False]),
    ],
)
def test_scale_holds_by_the_spread_of_costs_and_by_memory(
    costs: tuple[float, float], each: float, peak: int, holds: list[bool]
) -> None:
    fitted = {"fitted": {"seconds": {"fit": 1.0}}}
    answers = {n: answer(cost, peak=peak * MB) | fitted for n, cost in zip((1_000, 10_000), costs, strict=True)}
    measured = summarise_scale(answers, by_itself(each), memory_bytes=1_000 * MB)
    assert [check.holds for check in measured.checks] == holds
    assert measured.figures["CPU-microseconds a sentence"]["1,000"] == pytest.approx(4e6 * costs[0] / 1_000)


def test_the_plot_is_xml_with_a_line_for_each_series() -> None:
    fitted = {"fitted": {"seconds": {"fit": 1.0}}}
    measured = summarise_scale({n: answer(n / 1e6) | fitted for n in (1_000, 10_000)}, by_itself(0), memory_bytes=MB)
    root = ElementTree.fromstring(draw({"figures": measured.figures}))  # noqa: S314
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 6
