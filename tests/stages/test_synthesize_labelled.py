"""The grounding gate on the labelled answers, held to the bars that `./realsyn bench grounding` prints."""

import json
from collections import Counter

import pytest

from benchmarks.grounding import MIN_PRECISION, MIN_RECALL, SETS, read_cases, score


@pytest.mark.parametrize(("name", "n_cases"), [("first", 200), ("second", 100), ("third", 100)])
def test_the_gate_accepts_what_people_would_and_little_else(name: str, n_cases: int) -> None:
    cases = read_cases(SETS / f"{name}.jsonl")
    assert len(cases) >= n_cases
    found = score(cases)["all"]
    assert found["precision"] >= MIN_PRECISION
    assert found["recall"] >= MIN_RECALL


def test_the_sets_are_balanced_labelled_and_without_repetition() -> None:
    rows = [json.loads(line) for path in sorted(SETS.glob("*.jsonl")) for line in path.read_text().splitlines()]
    assert {row["verdict"] for row in rows} == {"accept", "refuse"}
    assert max(Counter((row["realistic_text"], row["text"]) for row in rows).values()) == 1
    assert sum(row["verdict"] == "accept" for row in rows) >= 0.4 * len(rows)
    kinds = {row["kind"] for row in rows}
    assert kinds >= {
        "invention", "swapped_number", "negation_added", "negation_dropped", "refusal", "concatenation", "injection",
        "swapped_roles", "swapped_attributes", "hallucinated_name", "truncated", "paraphrase", "number_form",
    }  # fmt: skip


def test_wrong_verdicts_show_in_the_figures() -> None:
    cases = read_cases(SETS / "first.jsonl")
    other = {"accept": "refuse", "refuse": "accept"}
    turned = score([(merge, {**case, "verdict": other[case["verdict"]]}) for merge, case in cases])["all"]
    assert turned["precision"] < 0.1
    assert turned["recall"] < 0.1
