"""`realsyn quarantine`: the days that failed a gate; one is run again by its plan, or accepted by somebody."""

import json
from typing import Any

import typer
from rich.console import Console

from realsyn_ops.cli.chain import Chain
from realsyn_ops.cli.deployment import open_airflow, open_bucket
from realsyn_ops.cli.progress import live_progress
from realsyn_ops.cli.replay import conf_of
from realsyn_ops.cli.services import Stack
from realsyn_ops.io.quarantine import accept, entries, find_entry
from realsyn_ops.io.storage import Bucket

_KEYS_SHOWN = 3


def list_quarantine(bucket: Bucket, console: Console, *, day: str, as_json: bool) -> None:
    """Every listed day with what it broke, or those of one day."""
    found = entries(bucket, day=day)
    if as_json:
        typer.echo(json.dumps(found, indent=1, sort_keys=True))
        return
    if not found:
        console.print("nothing is in quarantine", highlight=False)
    for entry in found:
        _tell(entry, console)


def accept_day(bucket: Bucket, console: Console, dag: str, day: str, *, by: str, why: str) -> None:
    """Keep the acceptance, and say how the day gets published."""
    said = accept(bucket, dag, day, by=by, why=why)
    console.print(f"accepted for plan {said['plan']} of {dag} {day}:", highlight=False)
    for name in said["accepted"]:
        console.print(f"  {name}", markup=False, highlight=False)
    console.print(f"now publish it: ./realsyn quarantine replay {day} --dag {dag}", highlight=False)


def replay_day(stack: Stack, console: Console, dag: str, day: str, *, wait: bool) -> None:
    """Trigger the Dag for the day with the params of the plan that failed; what follows it starts by itself."""
    with open_bucket(stack) as bucket:
        entry = find_entry(bucket, dag, day)
    api = open_airflow(stack)
    conf = conf_of(api, dag, entry["values"])
    run = api.trigger(dag, partition_key=entry["values"].get("day"), conf=conf)
    console.print(f"triggered {dag} for {day}", highlight=False)
    if wait:
        with live_progress(console) as show:
            Chain(api, show).wait(day, [run])
        console.print(f"published: {dag} {day}", highlight=False)


def _tell(entry: dict[str, Any], console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    say(f"{entry['dag']} {entry['day']}: plan {entry['plan']}, {entry['at']}")
    for broken in entry["broken"]:
        say(f"  {broken['gate']}: {broken['text']}")
        if keys := broken["keys"]:
            more = f" and more (--json has {len(keys)})" if len(keys) > _KEYS_SHOWN else ""
            say(f"    rows: {', '.join(keys[:_KEYS_SHOWN])}{more}")
    say(f"  staged: {entry['staging']}")
    say(f"  Data Docs: {entry['docs_uri']}")
