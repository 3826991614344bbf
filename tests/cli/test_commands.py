"""The command line as users have it, each command in its own process: help, exit codes, one clear line of error."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from realsyn_ops.cli.services import PROJECT

Command = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = (
    "demo", "up", "down", "status", "doctor", "report", "rejects", "trace", "release", "replay", "answers", "bench",
    "test",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def realsyn(home: Path) -> Command:
    """Runs a command with a home folder of its own."""
    env = {**os.environ, "REALSYN_HOME": str(home), "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "COLUMNS": "200"}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "realsyn_ops.cli", *map(str, arguments)]
        return subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False)

    return run


def still_running(home: Path) -> list[list[str]]:
    """Command lines of processes that name the home folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in argument for argument in process.info["cmdline"] or ()):
            found.append(process.info["cmdline"])
    return found


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("realsyn: ")
    return line


def test_help_lists_every_command(realsyn: Command) -> None:
    done = realsyn("--help")
    assert done.returncode == 0
    assert all(f" {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_starts_nothing(realsyn: Command, home: Path, command: str) -> None:
    done = realsyn(command, "--help")
    assert done.returncode == 0
    assert f"realsyn {command}" in done.stdout
    assert not home.exists()


def test_no_command_shows_the_help_and_an_unknown_one_is_refused(realsyn: Command) -> None:
    assert "Usage" in realsyn().stdout
    done = realsyn("nosuch")
    assert done.returncode == 2
    assert "nosuch" in done.stderr


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (None, "no such folder"),
        ({}, "holds nothing usable among 0 files"),
        ({"notes.txt": "text", "picture.png": "no page"}, "holds nothing usable among"),
    ],
    ids=["missing", "empty", "nothing usable"],
)
def test_a_demo_without_usable_input_fails_before_anything_starts(
    realsyn: Command, home: Path, tmp_path: Path, files: dict[str, str] | None, says: str
) -> None:
    folder = tmp_path / "input"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    done = realsyn("demo", "--input", folder)
    assert done.returncode == 1
    line = one_line(done)
    assert says in line
    assert str(folder) in line
    assert done.stdout == ""
    assert not (home / "run").exists()
    assert not (home / "models").exists()
    assert still_running(home) == []


@pytest.mark.parametrize(
    "arguments",
    [("--documents", "0"), ("--documents", "-3"), ("--documents", "many"), ("--documents", "4", "--input", ".")],
)
def test_a_demo_of_no_documents_is_a_wrong_call(realsyn: Command, home: Path, arguments: tuple[str, ...]) -> None:
    done = realsyn("demo", *arguments)
    assert done.returncode == 2
    assert "--documents" in done.stderr
    assert not (home / "run").exists()


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_report_without_a_release_says_what_to_do(realsyn: Command, option: tuple[str, ...]) -> None:
    done = realsyn("report", *option)
    assert done.returncode == 1
    assert "run ./realsyn demo first" in one_line(done)


def test_a_report_as_json_is_the_last_releases(realsyn: Command, home: Path) -> None:
    for version in ("v1", "v2"):
        folder = home / "reports" / version
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps({"version": version, "text": "naïve [red]"}))
        (folder / "gallery.json").write_text("{}")
    (home / "reports" / "latest").write_text("v1")
    done = realsyn("report", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"version": "v1", "text": "naïve [red]"})


@pytest.mark.parametrize("command", [("rejects",), ("replay", "2025-02-18", "max_words=60")], ids=["rejects", "replay"])
def test_without_a_corpus_there_is_nothing_to_browse_or_replay(
    realsyn: Command, home: Path, command: tuple[str, ...]
) -> None:
    done = realsyn(*command)
    assert done.returncode == 1
    assert "run ./realsyn demo first" in one_line(done)
    assert not (home / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("rejects", "--stage", "nosuch"), 1, "--stage must be one of fetch, extract"),
        (("rejects", "18.2.2025"), 1, "YYYY-MM-DD"),
        (("rejects", "--limit", "0"), 2, "--limit"),
        (("replay", "2025-02-18"), 2, "NAME=VALUE"),
        (("replay", "2025-02-18", "max_nodes=7"), 1, "never kept"),
    ],
)
def test_wrong_calls_are_refused_before_anything_starts(
    realsyn: Command, home: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = realsyn(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert not (home / "run").exists()


def test_an_unknown_benchmark_is_not_measured(realsyn: Command) -> None:
    done = realsyn("bench", "nosuch")
    assert done.returncode == 2
    assert "no benchmark nosuch; there are: " in one_line(done)


def test_bench_alone_lists_the_benchmarks(realsyn: Command) -> None:
    done = realsyn("bench")
    assert done.returncode == 0
    assert {line.split(":")[0] for line in done.stdout.splitlines()} == {
        path.stem for path in (PROJECT / "benchmarks").glob("*.py")
    }


def test_status_and_down_of_stopped_services(realsyn: Command) -> None:
    done = realsyn("status")
    assert (done.returncode, done.stdout.splitlines()) == (1, ["seaweedfs: stopped", "airflow: stopped"])
    done = realsyn("down")
    assert (done.returncode, done.stdout) == (0, "stopped\n")


@pytest.mark.parametrize(("arguments", "code"), [(("--version",), 0), (("--no-such-option",), 4)])
def test_arguments_of_test_go_to_pytest(realsyn: Command, arguments: tuple[str, ...], code: int) -> None:
    done = realsyn("test", *arguments)
    assert done.returncode == code
    assert "pytest" in done.stdout + done.stderr
