"""`realsyn doctor`: what is wrong with a deployment, one line a thing, each with what to do. Nothing is repaired.

Everything is looked at that can be: what is down has a line of its own, and the rest goes on.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console

from realsyn_ops.cli import checks
from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.checks import Finding
from realsyn_ops.cli.deployment import is_elsewhere, open_airflow, open_bucket
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import PermanentError, RealSynError, ServiceError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.presets import Preset, is_served, resolve
from realsyn_ops.settings import settings

STYLES = {"ok": "green", "warn": "yellow", "bad": "red"}
KINDS = ("encoder", "tagger", "captioner", "rewriter", "language_model", "parser")


def run_doctor(stack: Stack, console: Console, *, is_quick: bool, as_json: bool) -> bool:
    """Look at everything and say it; whether nothing is bad."""
    findings = []
    for finding in look(stack, is_quick=is_quick):
        findings.append(finding)
        if not as_json:
            console.print(f"{finding.level:<4} ", style=STYLES[finding.level], end="")
            console.print(f"{finding.what}: {finding.seen}", markup=False, highlight=False)
            if finding.do and finding.level != "ok":
                console.print(f"     -> {finding.do}", markup=False, highlight=False)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    return all(finding.level != "bad" for finding in findings)


def look(stack: Stack, *, is_quick: bool) -> Iterator[Finding]:
    """Findings in order: settings, machine, store, models and endpoints, Ray, Airflow."""
    try:
        preset = resolve(settings().preset, {kind: getattr(settings(), kind) for kind in KINDS})
    except ValidationError as error:
        for problem in error.errors():
            name = f"REALSYN_{'_'.join(map(str, problem['loc'])).upper()}"
            yield Finding("bad", name, f"{problem['msg']}, got {problem['input']!r}", "see Settings in operations.md")
        return
    except PermanentError as error:
        yield Finding("bad", "models", str(error), "see Changing models in docs/operations.md")
        return
    yield Finding("ok", "settings", f"preset {settings().preset}, device {settings().device}")
    yield from checks.check_machine(stack.home)
    with ExitStack() as opened:
        bucket = None
        try:
            bucket = opened.enter_context(open_bucket(stack))
        except RealSynError as error:
            yield Finding("bad", "store", str(error), "see From red to green in docs/operations.md")
        if bucket is not None:
            yield from checks.check_bucket(bucket)
            if not is_elsewhere():
                yield from checks.check_volumes(stack)
        path = settings().models_path if is_elsewhere() else stack.home / "models"
        yield from _models(preset, bucket, path, is_quick=is_quick)
    if settings().ray_address:
        yield from checks.check_ray()
    yield from _airflow(stack)


def _airflow(stack: Stack) -> Iterator[Finding]:
    """A process that runs is asked, however ill it is; one that does not is a warning, since nothing here needs it."""
    runs = is_elsewhere() or stack.airflow.pid() is not None
    try:
        password = stack.endpoints.admin_password
        is_ours = runs and not is_elsewhere()
        api = AirflowApi(stack.airflow_url, "admin", password) if is_ours else open_airflow(stack)
    except ServiceError as error:
        yield Finding(
            "bad" if runs else "warn", "airflow", str(error), "start it, or see its log; all above needs none"
        )
    except PermanentError as error:
        yield Finding("warn", "airflow", str(error), "without both it is not looked at")
    else:
        yield from checks.check_airflow(api)


def _models(preset: Preset, bucket: Bucket | None, models_path: Path, *, is_quick: bool) -> Iterator[Finding]:
    for kind in KINDS:
        spec = getattr(preset, kind)
        if is_served(spec):
            yield from checks.check_served(kind, spec)
        elif not is_quick:
            yield checks.check_model(kind, spec, preset, bucket, models_path)
