"""Benchmarks: what is measured, printed and answered as exit code, for checks that hold and checks that do not."""

import importlib
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.demo import covered_seconds, summarise
from realsyn_ops.cli.bench import Check, list_benchmarks, run_benchmark
from realsyn_ops.errors import PermanentError

GB = 2**30
FIGURES = '{"ours": {"seconds": 1.5, "rows": 12000}, "exact": {"seconds": 30.0}, "speedup": 20.0}'
HEAD = """
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.errors import ServiceError

SUMMARY = "a benchmark of a test"

def measure(home, console):
    console.print("measuring")
    """


def run(folder: Path, body: str, *arguments: str, as_json: bool = False) -> int:
    """Exit code of a benchmark that does what `body` says; it is named by its path."""
    (folder / "planted.py").write_text(HEAD + body)
    console = Console(soft_wrap=True)
    return run_benchmark(str(folder / "planted"), folder, console, as_json=as_json, arguments=arguments)


def measurement(*checks: str) -> str:
    return f'return Measurement("100 rows", {FIGURES}, [{", ".join(checks)}])'


FAST = 'Check("speedup", 20.0, ">=", 10)'
SMALL = 'Check("memory (GB)", 1.5, "<=", 1)'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (measurement(), 0),
        (measurement(FAST), 0),
        (measurement(SMALL), 1),
        (measurement(FAST, SMALL), 1),
        ("raise ServiceError('no disk')", 2),
        ("raise FileNotFoundError('no peer')", 2),
    ],
    ids=["no checks", "holds", "does not hold", "one does not hold", "service missing", "peer missing"],
)
def test_the_exit_code_says_whether_all_checks_hold(tmp_path: Path, body: str, code: int) -> None:
    assert run(tmp_path, body) == code


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, "return 1 / 0")


SIZED = """pass

def measure(home, console, *, records=7, max_pairs=9):
    return Measurement("", {"records": records, "max_pairs": max_pairs})
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (7, 9)),
        (["--records", "100000"], (100_000, 9)),
        (["--max-pairs=3", "--records", "5"], (5, 3)),
    ],
)
def test_the_command_line_sets_a_benchmarks_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: tuple[int, int]
) -> None:
    assert run(tmp_path, SIZED, *arguments, as_json=True) == 0
    assert tuple(json.loads(capsys.readouterr().out)["figures"].values()) == expected


@pytest.mark.parametrize(
    ("body", "arguments", "complaint"),
    [
        (SIZED, ["--rows", "5"], "no option --rows; there are: --records, --max-pairs"),
        (SIZED, ["5"], "no option 5; there are: --records, --max-pairs"),
        (SIZED, ["--records"], "--records must be a whole number above 0, got ''"),
        (SIZED, ["--records", "0"], "--records must be a whole number above 0, got '0'"),
        (SIZED, ["--records=-1"], "--records must be a whole number above 0, got '-1'"),
        (SIZED, ["--records", "many"], "--records must be a whole number above 0, got 'many'"),
        (measurement(), ["--records", "5"], "no option --records; there are: none"),
    ],
)
def test_a_wrong_size_is_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, arguments: list[str], complaint: str
) -> None:
    assert run(tmp_path, body, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.strip().endswith(f": {complaint}")
    assert printed.out == ""


@pytest.mark.parametrize(
    ("value", "op", "bar", "holds"),
    [(1, "<=", 1, True), (1.01, "<=", 1, False), (1, ">=", 1, True), (0.99, ">=", 1, False)],
)
def test_a_check_holds_up_to_its_bar(value: float, op: str, bar: float, holds: bool) -> None:
    assert Check("x", value, op, bar).holds is holds


def test_figures_and_verdicts_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, measurement(FAST, SMALL))
    printed = capsys.readouterr()
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert lines[0].endswith("planted: 100 rows")
    assert lines[1:4] == ["seconds rows", "ours 1.50 12,000", "exact 30.00"]
    assert lines[4:] == [
        "speedup: 20.00", "holds: speedup = 20 >= 10", "DOES NOT HOLD: memory (GB) = 1.5 <= 1",
    ]  # fmt: skip
    assert printed.err.strip() == "measuring"


def test_json_is_one_object_with_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, measurement(FAST, SMALL), as_json=True) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["data"], answer["figures"]) == ("100 rows", json.loads(FIGURES))
    assert [(check["name"], check["holds"]) for check in answer["checks"]] == [
        ("speedup", True),
        ("memory (GB)", False),
    ]
    assert set(answer["machine"]) == {"cores", "memory_bytes", "processor", "python"}


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "raise ServiceError('no [disk] left')")
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith("realsyn: could not measure ")
    assert printed.err.splitlines()[-1].endswith(": no [disk] left")
    assert printed.out == ""


def test_an_unknown_benchmark_names_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_benchmark("nosuch", tmp_path, Console(), as_json=False) == 2
    assert capsys.readouterr().err.strip() == f"realsyn: no benchmark nosuch; there are: {', '.join(list_benchmarks())}"


def test_every_benchmark_says_what_it_measures() -> None:
    found = list_benchmarks()
    assert "demo" in found
    for name, summary in found.items():
        benchmark = importlib.import_module(f"benchmarks.{name}")
        assert summary == benchmark.SUMMARY
        assert len(summary) > 20
        assert callable(benchmark.measure)


def test_a_benchmark_that_does_not_say_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mute.py").write_text("def measure(home, console): ...")
    monkeypatch.setattr("realsyn_ops.cli.bench.BENCHMARKS", tmp_path)
    with pytest.raises(PermanentError, match=r"mute\.py has no line SUMMARY"):
        list_benchmarks()


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0),
        ([[0, 2]], 2),
        ([[0, 2], [3, 4]], 3),
        ([[3, 4], [0, 2]], 3),
        ([[0, 2], [1, 3]], 3),
        ([[0, 10], [1, 3], [4, 5]], 10),
        ([[0, 2], [2, 3]], 3),
        ([[5, 6], [5, 6]], 1),
    ],
)
def test_covered_seconds_count_overlaps_once(spans: list[list[float]], expected: float) -> None:
    assert covered_seconds(spans) == expected


def stage(dag: str, name: str, spans: list[list[float]], peak_rss_bytes: int) -> dict:
    seconds = sum(stop - start for start, stop in spans)
    return {
        "dag": dag, "stage": name, "day": "2025-02-18", "tasks": len(spans), "seconds": seconds,
        "cpu_seconds": seconds / 2, "peak_rss_bytes": peak_rss_bytes, "spans": spans,
    }  # fmt: skip


def report(*stages: dict) -> dict:
    funnel = {name: [{"n_kept": n}] for name, n in (("documents", 3), ("images", 40), ("sentences", 500))}
    return {"stages": list(stages), "funnel": funnel}


@pytest.mark.parametrize(
    ("spans", "peak", "share", "holds"),
    [
        ([[0, 40], [40, 80]], 2 * GB, 0.2, [True, True]),
        ([[0, 75]], 4 * GB, 0.25, [True, True]),
        ([[0, 40], [20, 60]], 2 * GB, 0.4, [False, True]),
        ([[0, 80]], 4 * GB + GB // 10, 0.2, [True, False]),
        ([[0, 10]], 5 * GB, 0.9, [False, False]),
    ],
)
def test_the_demo_is_held_to_airflows_share_and_to_memory(
    spans: list[list[float]], peak: int, share: float, holds: list[bool]
) -> None:
    measured = summarise(report(stage("a", "b", spans, peak)), {"wall_seconds": 100.0, "setup_seconds": 9.0})
    assert measured.figures["airflow_share"] == share
    assert [check.holds for check in measured.checks] == holds


def test_the_demos_rows_sum_the_days_of_a_stage() -> None:
    measured = summarise(
        report(
            stage("ingest_documents", "extract", [[0, 10]], GB),
            stage("ingest_documents", "extract", [[20, 24], [24, 26]], 2 * GB),
            stage("pair_texts", "retrieve", [[30, 31]], GB),
        ),
        {"wall_seconds": 40.0, "setup_seconds": 9.0},
    )
    assert measured.data == "3 documents, 40 images, 500 sentences"
    assert measured.figures["ingest_documents extract"] == {
        "tasks": 3, "seconds": 16.0, "cpu_seconds": 8.0, "peak_rss_gb": 2.0,
    }  # fmt: skip
    assert measured.figures["pair_texts retrieve"]["tasks"] == 1
    assert measured.figures["wall_seconds"] == 40.0
