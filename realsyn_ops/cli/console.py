"""What all commands share: where they print, this machine's home, and how their errors are shown."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.errors import RealSynError

console = Console(soft_wrap=True)


def home() -> Path:
    """Folder of everything this machine keeps: services' data, models, releases, reports."""
    return Path(os.environ.get("REALSYN_HOME") or PROJECT / ".realsyn").resolve()


@contextmanager
def one_clear_line() -> Iterator[None]:
    """Errors that people can act on become one line and exit code 1; anything else is a bug and keeps its traceback."""
    try:
        yield
    except RealSynError as error:
        Console(stderr=True, soft_wrap=True).print(f"realsyn: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        Console(stderr=True).print("realsyn: interrupted", style="red")
        raise typer.Exit(130) from error
