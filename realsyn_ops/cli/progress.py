"""How a running chain is shown: a live table on a terminal, one line a change everywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from realsyn_ops.cli.chain import Progress, Show

_MARKS = {"success": "[green]done[/]", "running": "[cyan]running[/]", "failed": "[red]failed[/]"}


@contextmanager
def live_progress(console: Console) -> Iterator[Show]:
    """Yields the function that shows one look at a chain."""
    if not console.is_terminal:
        yield _line_by_line(console)
        return
    tables: dict[str, Table] = {}
    with Live(console=console, refresh_per_second=4) as live:

        def show(progress: Progress) -> None:
            tables[progress.label] = _table(progress)
            grid = Table.grid(padding=(0, 0))
            for table in tables.values():
                grid.add_row(table)
            live.update(grid)

        yield show


def _table(progress: Progress) -> Table:
    table = Table(title=f"{progress.label}  {progress.elapsed_s:.0f} s", title_justify="left", box=None)
    for name in ("Dag", "state", "tasks done"):
        table.add_column(name, min_width=12)
    for dag, state in progress.dags.items():
        table.add_row(dag, _MARKS.get(state, state), progress.tasks.get(dag, ""))
    return table


def _line_by_line(console: Console) -> Show:
    last: dict[tuple[str, str], tuple[str, str]] = {}

    def show(progress: Progress) -> None:
        for dag, state in progress.dags.items():
            now = (state, progress.tasks.get(dag, ""))
            if state != "waiting" and last.get((progress.label, dag)) != now:
                last[progress.label, dag] = now
                console.print(
                    f"{progress.elapsed_s:5.0f} s  {progress.label}  {dag}: {state} {now[1]}", highlight=False
                )

    return show
