"""Every expectation of every suite: a frame that breaks it alone is refused in its name; one that breaks none passes.

Faults are planted by kind of expectation. The n-th faults of all suites are audited together, because Great
Expectations takes its time.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from realsyn_ops.gates.audit import SUITES, GateResult, audit, read_suite
from realsyn_ops.records import Reason

NAMES = sorted(path.stem for path in SUITES.glob("*.yaml"))
N_ROWS = 4


@dataclass(frozen=True)
class Fault:
    """A value that breaks one expectation of a suite; None for rows that are missing altogether."""

    suite: str
    number: int
    expectation: str
    column: str | None
    value: Any

    def __str__(self) -> str:
        return f"{self.suite}-{self.number}-{self.expectation.removeprefix('expect_')}-{self.column}={self.value!r}"


def rules(suite: str) -> list[tuple[str, dict[str, Any]]]:
    return [(rule["type"], rule["kwargs"]) for rule in read_suite(suite)]


def good_values(column: str, expectations: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """A few different values that all expectations of a column accept."""
    known = {name: value for _, kwargs in expectations for name, value in kwargs.items()}
    if "value_set" in known:
        accepted = [None, *known["value_set"]] if column == "reason" else known["value_set"]
        return [accepted[i % len(accepted)] for i in range(N_ROWS)]
    if "regex" in known:
        if column == "url":
            return [f"https://{letter}" for letter in "abcd"]
        is_day = "d{4}" in known["regex"]
        return [f"2025-02-{18 + i}" if is_day else f"{known['regex'][1]}{i:032x}" for i in range(N_ROWS)]
    if any(kind == "expect_column_values_to_be_between" for kind, _ in expectations):
        return [known["min_value"] + i * (known.get("max_value", 9) - known["min_value"]) / 3 for i in range(N_ROWS)]
    return [f"{column} {i}" for i in range(N_ROWS)]


def good_frame(suite: str) -> pd.DataFrame:
    columns = dict.fromkeys(kwargs["column"] for _, kwargs in rules(suite) if "column" in kwargs)
    return pd.DataFrame(
        {c: good_values(c, [rule for rule in rules(suite) if rule[1].get("column") == c]) for c in columns}
    )


def broken_values(kind: str, kwargs: dict[str, Any], good: list[Any]) -> list[Any]:
    """Values in the place of one good value that break an expectation of this kind, each on its own."""
    match kind:
        case "expect_table_row_count_to_be_between" | "expect_column_values_to_not_be_null":
            return [None]
        case "expect_column_values_to_be_unique":
            return [good[0]]
        case "expect_column_values_to_match_regex":
            return [f"x{good[1]}", good[1][:-1]]
        case "expect_column_values_to_be_in_set":
            return [False] if kwargs["value_set"] == [True] else ["unheard of"]
        case "expect_column_values_to_be_between":
            return [kwargs[end] + step for end, step in (("min_value", -0.02), ("max_value", 0.02)) if end in kwargs]
        case "expect_column_value_lengths_to_be_between":
            return [""]
    raise NotImplementedError(f"no fault is known for {kind}: add one")


def faults(suite: str) -> list[Fault]:
    frame = good_frame(suite)
    return [
        Fault(suite, number, kind, kwargs.get("column"), value)
        for number, (kind, kwargs) in enumerate(rules(suite))
        for value in broken_values(kind, kwargs, frame[kwargs["column"]].tolist() if "column" in kwargs else [])
    ]


def planted_frame(fault: Fault) -> pd.DataFrame:
    frame = good_frame(fault.suite)
    if fault.column is None:
        return frame.iloc[:0]
    frame[fault.column] = frame[fault.column].astype(object)
    frame.at[1, fault.column] = fault.value
    return frame


ALL_FAULTS = [fault for suite in NAMES for fault in faults(suite)]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, GateResult], Path]:
    """Verdicts on frames without a fault, and the Data Docs that say so."""
    docs = tmp_path_factory.mktemp("docs")
    return {result.gate: result for result in audit({name: good_frame(name) for name in NAMES}, docs)}, docs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@cache
def audit_round(place: int, folder: Path) -> dict[str, GateResult]:
    """Verdicts on the frames with each suite's fault at this place."""
    chosen = [faults(suite)[place] for suite in NAMES if place < len(faults(suite))]
    results = audit({fault.suite: planted_frame(fault) for fault in chosen}, folder / str(place))
    return {result.gate: result for result in results}


@pytest.mark.parametrize("suite", NAMES)
def test_a_frame_without_fault_passes_all_expectations(good: tuple[dict[str, GateResult], Path], suite: str) -> None:
    result = good[0][suite]
    assert result == GateResult(suite, N_ROWS, len(rules(suite)), ())
    assert result.passed


@pytest.mark.parametrize("fault", ALL_FAULTS, ids=str)
def test_a_planted_fault_is_refused_in_the_name_of_its_expectation(fault: Fault, folder: Path) -> None:
    result = audit_round(faults(fault.suite).index(fault), folder)[fault.suite]
    assert not result.passed
    assert len(result.failures) == 1
    where = f"{fault.expectation} of {fault.column}" if fault.column else fault.expectation
    assert re.match(rf"{where}[ :]", result.failures[0])
    if fault.column and fault.value is not None:
        assert repr(fault.value) in result.failures[0]


def test_every_expectation_has_a_planted_fault() -> None:
    assert {(fault.suite, fault.number) for fault in ALL_FAULTS} == {
        (suite, number) for suite in NAMES for number in range(len(rules(suite)))
    }


def test_a_missing_column_fails_every_expectation_of_it(tmp_path: Path) -> None:
    first = {suite: next(kwargs["column"] for _, kwargs in rules(suite) if "column" in kwargs) for suite in NAMES}
    results = audit({suite: good_frame(suite).drop(columns=column) for suite, column in first.items()}, tmp_path)
    assert [result.gate for result in results] == NAMES
    for result in results:
        column = first[result.gate]
        expected = [kind for kind, kwargs in rules(result.gate) if kwargs.get("column") == column]
        found = [re.fullmatch(rf"(\w+) of {column}( {{.*}})?: could not be .*", text) for text in result.failures]
        assert sorted(match[1] for match in found if match) == sorted(expected)
        assert len(found) == len(expected)


def test_the_data_docs_show_every_suite(good: tuple[dict[str, GateResult], Path]) -> None:
    docs = good[1]
    index = (docs / "index.html").read_text()
    for suite in NAMES:
        assert list((docs / "validations" / suite).rglob("*.html"))
        assert f"validations/{suite}/" in index


def test_the_data_docs_of_a_fault_name_what_was_seen(folder: Path) -> None:
    audit_round(0, folder)
    (page,) = (folder / "0" / "validations" / "images").rglob("*.html")
    assert "Failed" in page.read_text()


@pytest.mark.parametrize("suite", NAMES)
def test_reasons_of_a_suite_are_reasons_of_records(suite: str) -> None:
    named = [kwargs["value_set"] for _, kwargs in rules(suite) if kwargs.get("column") == "reason"]
    assert {reason for value_set in named for reason in value_set} <= set(Reason)


@pytest.mark.parametrize("suite", NAMES)
def test_a_suite_says_what_it_is_for(suite: str) -> None:
    assert re.match(r"# .{20,}\.\n", (SUITES / f"{suite}.yaml").read_text())
