"""`realsyn replay`: a day's rejects are judged again under other limits, from what the corpus holds of them.

The Dag that owns a limit runs again for the day with the plan that its tables were made by, changed in that limit. Raw
documents are not read; what parser and language model said of a sentence is not computed again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from rich.console import Console

from realsyn_ops.cli.airflow_api import AirflowApi, Run
from realsyn_ops.cli.chain import Chain
from realsyn_ops.cli.deployment import open_airflow, open_bucket
from realsyn_ops.cli.progress import live_progress
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import BadPlanError, PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.recorded_plans import last_plan, recorded_plan
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import Plan, ReleasePlan, check_day
from realsyn_ops.report.what_if import WhatIf, what_if
from realsyn_ops.report.wording import count, reason_name
from realsyn_ops.thresholds import CLUSTER, CURATE, INGEST, PAIR, PLANS, limits_of, limits_over_all_days

_DAGS = (CURATE, CLUSTER, PAIR)
_RECORDS = {CURATE: "images", CLUSTER: "sentences", PAIR: "pairs"}


@dataclass(frozen=True)
class Change:
    """A Dag's plan of the day as it is recorded, and as it would be."""

    dag: str
    before: Plan
    after: Plan

    def named(self) -> Iterator[tuple[str, Any, Any]]:
        for field in fields(self.before):
            was, becomes = getattr(self.before, field.name), getattr(self.after, field.name)
            if was != becomes:
                yield field.name, was, becomes


def run_replay(stack: Stack, console: Console, day: str, limits: list[str], *, dry_run: bool, wait: bool) -> None:
    """Print what would change; then, unless it is a dry run, trigger the Dags."""
    check_day(day)
    wanted = parse_limits(limits)
    with open_bucket(stack) as bucket:
        changes = changed_plans(bucket, day, wanted)
        for change in changes:
            _print_what_if(change, what_if(Corpus(bucket), change.dag, change.before, change.after), day, console)
        runs = {change.dag: change.after for change in changes}
        if PAIR not in runs:
            runs = _with_the_other(bucket, day, runs)
        pairs = recorded_plan(bucket, PAIR, day)
    if dry_run:
        return
    api = open_airflow(stack)
    known = {run.run_id for run in api.runs(PAIR)}
    confs = {dag: conf_of(api, dag, json.loads(plan.to_json())) for dag, plan in runs.items()}
    started = [api.trigger(dag, partition_key=day, conf=conf) for dag, conf in confs.items()]
    console.print(f"triggered for {day}: {', '.join(confs)}", highlight=False)
    if wait:
        follow(api, console, day, started, known, pairs)
    elif PAIR not in runs:
        console.print(f"{PAIR} follows when both are done")


def parse_limits(limits: list[str]) -> dict[str, dict[str, Any]]:
    """``NAME=VALUE`` by the Dag that owns the limit. Raises PermanentError for what cannot be replayed, and why."""
    wanted: dict[str, dict[str, Any]] = {}
    for text in limits:
        name, equals, value = text.partition("=")
        dag = next((dag for dag in _DAGS if name in limits_of(dag)), None)
        if not equals:
            raise PermanentError(f"{text}: write a limit and its value as NAME=VALUE")
        if name in limits_of(INGEST):
            raise PermanentError(
                f"{name} is a limit of {INGEST}: the bytes of what it refused were never kept, so there is nothing to "
                f"reconsider. Trigger {INGEST} for the day with {text}"
            )
        if dag is None and name in {field.name for field in fields(ReleasePlan)} - {
            field.name for field in fields(Plan)
        }:
            raise PermanentError(
                f"{name} is a param of release_dataset, which takes all days: trigger that with {text}"
            )
        if dag is None:
            known = ", ".join(limit for dag in _DAGS for limit in limits_of(dag))
            raise PermanentError(f"{name} is no limit that a day can be replayed with; there are: {known}")
        wanted.setdefault(dag, {})[name] = _typed(PLANS[dag], name, value)
    if PAIR in wanted and len(wanted) > 1:
        raise PermanentError(
            f"{', '.join(wanted[PAIR])} is for {PAIR}, which follows the other Dags with its own params: replay those "
            "first, then this"
        )
    return wanted


def changed_plans(bucket: Bucket, day: str, wanted: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    """The recorded plans with the wanted limits; raises BadPlanError for one that the plan does not allow."""
    changes = []
    for dag, limits in wanted.items():
        values = recorded_plan(bucket, dag, day)
        if values is None:
            raise PermanentError(f"no plan of {dag} is recorded for {day}: run that Dag for the day first")
        before = PLANS[dag].from_json(json.dumps(values))
        after = replace(before, **limits)
        last = last_plan(bucket, dag) or values
        if after == before and all(last.get(name) == limits[name] for name in limits_over_all_days(dag) & set(limits)):
            raise PermanentError(f"{day} was made with {', '.join(f'{n}={v}' for n, v in limits.items())} already")
        changes.append(Change(dag, before, after))
    return changes


def _typed(plan: type[Plan], name: str, text: str) -> Any:
    """The value as the plan's field has it."""
    default = next(field.default for field in fields(plan) if field.name == name)
    if isinstance(default, str):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, float) and is_number:
        return float(value)
    if type(value) is not type(default):
        raise BadPlanError(name, wanted, text)
    return value


def _with_the_other(bucket: Bucket, day: str, runs: dict[str, Plan]) -> dict[str, Plan]:
    """Both Dags that `pair_texts` waits for: of one alone it would never hear. What has not changed costs little."""
    for dag in (CURATE, CLUSTER):
        values = recorded_plan(bucket, dag, day)
        if dag not in runs and values is not None:
            runs = runs | {dag: PLANS[dag].from_json(json.dumps(values))}
    return runs


def conf_of(api: AirflowApi, dag: str, values: dict[str, Any]) -> dict[str, Any]:
    """The plan's values that the Dag's form has: what a run decides anew (inputs, code, models) is not among them."""
    return {name: values[name] for name in sorted(api.params(dag)) if name in values}


def follow(
    api: AirflowApi, console: Console, day: str, started: list[Run], known: set[str], pairs: dict[str, Any] | None
) -> None:
    """Wait for these runs of a day and for the `pair_texts` behind them, which is started where no event starts it."""
    with live_progress(console) as show:
        chain = Chain(api, show)
        chain.wait(day, started)
        if all(run.dag != PAIR for run in started):
            follower = chain.wait_for_follower(PAIR, day, started, known=known)
            if follower is None:
                follower = api.trigger(PAIR, partition_key=day, conf=conf_of(api, PAIR, pairs or {}))
            chain.wait(day, [follower])
    console.print(f"done: {day}", highlight=False)


def _print_what_if(change: Change, found: WhatIf, day: str, console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    def by_reason(counts: Mapping[str, int]) -> str:
        listed = ", ".join(
            f"{reason_name(r)} {count(n)}" for r, n in sorted(counts.items(), key=lambda x: (-x[1], x[0]))
        )
        return f" ({listed})" if listed else ""

    changed = ", ".join(f"{name} {was} -> {becomes}" for name, was, becomes in change.named())
    say(f"{change.dag} of {day}: {changed or 'the plan as it is recorded'}")
    if change.dag == PAIR:
        say("  what it changes is not told by stored values: texts are retrieved anew for all days")
        return
    records = _RECORDS[change.dag]
    say(f"  {count(found.n_kept)} {records} pass the rules now, {count(found.n_rejected)} are refused")
    say(f"  refused that would pass: {count(found.freed.total())}{by_reason(found.freed)}")
    say(f"  passing that would be refused: {count(found.refused.total())}{by_reason(found.refused)}")
    if found.unknown:
        say(
            f"  not known before it runs: {count(found.unknown.total())}{by_reason(found.unknown)}: "
            "a rule comes up that they were never measured by"
        )
    for name in found.compared_anew:
        say(f"  {name} holds for near-duplicates of all days; they are compared anew")
    if found.loosened:
        say(f"  no longer near enough to their survivor: {count(found.loosened.total())}{by_reason(found.loosened)}")
