"""Finding and running benchmarks: one file each in ``benchmarks/``, with a `SUMMARY` and a `measure(home, console)`.

Keyword-only parameters of `measure` are sizes that the command line may set: `--records 100000`.
"""

import importlib.util
import inspect
import itertools
import json
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.errors import PermanentError, RealSynError

BENCHMARKS = PROJECT / "benchmarks"
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda value, bar: value <= bar,
    ">=": lambda value, bar: value >= bar,
}


@dataclass(frozen=True)
class Check:
    """A claim with its bar: ``value op bar``."""

    name: str
    value: float
    op: str
    bar: float

    @property
    def holds(self) -> bool:
        return _OPERATORS[self.op](self.value, self.bar)


@dataclass(frozen=True)
class Measurement:
    """What a benchmark returns: what it ran on, its figures (nested by row, then column), its checks."""

    data: str
    figures: dict[str, Any]
    checks: list[Check] = field(default_factory=list)


def list_benchmarks() -> dict[str, str]:
    """Name and summary of every benchmark, whose imports, seconds each, are not made for that."""
    return {path.stem: _summary(path) for path in sorted(BENCHMARKS.glob("*.py"))}


def run_benchmark(name: str, home: Path, console: Console, *, as_json: bool, arguments: Sequence[str] = ()) -> int:
    """Exit code: 0 all checks hold, 1 one does not, 2 it could not be measured. Arguments: `--NAME VALUE` of sizes."""
    path = BENCHMARKS / f"{name}.py"
    error_console = Console(stderr=True, soft_wrap=True)
    if not path.exists():
        error_console.print(f"realsyn: no benchmark {name}; there are: {', '.join(list_benchmarks())}", style="red")
        return 2
    try:
        measure = _load(path).measure
        measured: Measurement = measure(home, error_console, **_sizes(measure, arguments))
    except (RealSynError, OSError) as error:
        error_console.print(f"realsyn: could not measure {name}: {error}", style="red", markup=False)
        return 2
    if as_json:
        checks = [{**asdict(check), "holds": check.holds} for check in measured.checks]
        machine = {
            "cores": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
        }
        answer = {"bench": name, "data": measured.data, "machine": machine, "figures": measured.figures}
        print(json.dumps({**answer, "checks": checks}, indent=1))  # noqa: T201
    else:
        _print(name, measured, console)
    return 0 if all(check.holds for check in measured.checks) else 1


def _sizes(measure: Callable[..., Measurement], arguments: Sequence[str]) -> dict[str, int]:
    """`--NAME VALUE` or `--NAME=VALUE`, as often as wanted, for the keyword-only parameters that `measure` has."""
    parameters = inspect.signature(measure).parameters.values()
    known = {f"--{p.name.replace('_', '-')}": p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    words = [
        word for argument in arguments for word in (argument.split("=", 1) if argument[:2] == "--" else [argument])
    ]
    sizes = {}
    for option, value in itertools.zip_longest(words[::2], words[1::2], fillvalue=""):
        if option not in known:
            raise PermanentError(f"no option {option}; there are: {', '.join(known) or 'none'}")
        if not value.isdecimal() or int(value) == 0:
            raise PermanentError(f"{option} must be a whole number above 0, got {value!r}")
        sizes[known[option]] = int(value)
    return sizes


def _summary(path: Path) -> str:
    if found := re.search(r'^SUMMARY = "(.+)"$', path.read_text(), re.MULTILINE):
        return found[1]
    raise PermanentError(f'{path} has no line SUMMARY = "..."')


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise OSError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _print(name: str, measured: Measurement, console: Console) -> None:
    console.print(f"{name}: {measured.data}", highlight=False)
    rows = {row: values for row, values in measured.figures.items() if isinstance(values, dict)}
    columns = list(dict.fromkeys(column for values in rows.values() for column in values))
    table = Table(box=None)
    for heading in ("", *columns):
        table.add_column(heading, justify="left" if not heading else "right")
    for row, values in rows.items():
        table.add_row(row, *(_cell(values.get(column)) for column in columns))
    console.print(table)
    for row, value in measured.figures.items():
        if not isinstance(value, dict):
            console.print(f"{row}: {_cell(value)}", highlight=False)
    for check in measured.checks:
        verdict = "holds" if check.holds else "DOES NOT HOLD"
        console.print(f"{verdict}: {check.name} = {check.value:g} {check.op} {check.bar:g}", highlight=False)


def _cell(value: Any) -> str:
    return (
        f"{value:,.2f}"
        if isinstance(value, float)
        else ""
        if value is None
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )
