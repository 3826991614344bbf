"""`./realsyn quarantine ...`: the commands; what they do is in `quarantine`."""

from typing import Annotated

import typer

from realsyn_ops.cli.console import console, home, one_clear_line
from realsyn_ops.cli.services import Stack

quarantine = typer.Typer(help="Days that failed a gate: list, accept, replay.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="As JSON on standard output.")]
Dag = Annotated[str, typer.Option("--dag", help="The Dag whose audit is red, as ./realsyn quarantine list shows it.")]
Quarantined = Annotated[str, typer.Argument(metavar="DAY", help="The day; of release_dataset the version.")]


@quarantine.command(name="list")
def list_days(
    day: Annotated[str, typer.Argument(help="A day as YYYY-MM-DD; none: all days.")] = "", as_json: AsJson = False
) -> None:
    """Each day with the expectations that it broke, keys of the failing rows, and where its Data Docs are."""
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.quarantine import list_quarantine

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        list_quarantine(bucket, console, day=day, as_json=as_json)


@quarantine.command(name="accept")
def accept_quarantined(
    day: Quarantined,
    dag: Dag,
    by: Annotated[str, typer.Option(help="Who accepts it: kept, and shown in report and card.")],
    why: Annotated[str, typer.Option(help="For what reason: kept, too.")],
) -> None:
    """Let a day pass all the same: by its plan, and as to those expectations that are listed, alone."""
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.quarantine import accept_day

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        accept_day(bucket, console, dag, day, by=by, why=why)


@quarantine.command(name="replay")
def replay_quarantined(
    day: Quarantined,
    dag: Dag,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is published.")] = False,
) -> None:
    """Run the Dag again for the day, with the params of the plan that failed: after a fix, or when it is accepted."""
    from realsyn_ops.cli.quarantine import replay_day

    with one_clear_line():
        replay_day(Stack(home()), console, dag, day, wait=wait)
