"""`realsyn demo`: the main job once through, on real documents, from raw input to a release one can open."""

import hashlib
import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.chain import CHAIN, RELEASE, Chain
from realsyn_ops.cli.progress import live_progress
from realsyn_ops.cli.services import Stack
from realsyn_ops.demo.documents import DAYS, make_demo_input
from realsyn_ops.demo.folder import from_folder
from realsyn_ops.errors import PermanentError, ServiceError
from realsyn_ops.io import releases
from realsyn_ops.io.storage import Bucket
from realsyn_ops.report.render_html import render_html
from realsyn_ops.report.render_text import render_text


@dataclass(frozen=True)
class RawInput:
    """Files on this machine as ``<path>/<day>/<source>/<file>``, and a name that tells this input from others."""

    path: Path
    days: tuple[str, ...]
    files: tuple[str, ...]
    name: str


def run_demo(
    stack: Stack, console: Console, *, folder: Path | None, documents: int | Literal["all"] | None, fetch: bool
) -> Path:
    """Everything between starting and stopping the services. Returns the release's local folder."""
    started = time.monotonic()
    raw = prepare_input(stack.home, folder, documents)
    prepare_models(stack.home / "models")
    stack.use_bucket("realsyn" if folder is None and documents is None else f"realsyn-{raw.name}")
    console.print(f"starting SeaweedFS and Airflow under {stack.home}")
    stack.up()
    n_sent = upload(stack.bucket, raw)
    console.print(f"raw input of {' and '.join(raw.days)}: {n_sent} objects sent, the rest was there already")
    api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
    api.wait_for_dags([*CHAIN, RELEASE])
    ready = time.monotonic()
    with live_progress(console) as show:
        chain = Chain(api, show)
        for day in raw.days:
            chain.run_day(day, {"fetch_images": True} if fetch else {})
        is_new = chain.run_release()
    version = releases.newest(stack.bucket)
    path = fetch_release(stack, version)
    timing = {
        "wall_seconds": round(time.monotonic() - ready, 1),
        "setup_seconds": round(ready - started, 1),
        "retried_tasks": chain.n_retried,
        "is_new": is_new,
    }
    (stack.home / "reports" / version / "demo.json").write_text(json.dumps(timing))
    render_text(local_report(stack.home, version)[0], console=console)
    if not is_new:
        console.print(f"nothing new: release {version} holds these pairs already")
    if chain.n_retried:
        console.print(f"{chain.n_retried} tasks were retried")
    return path


def prepare_input(home: Path, folder: Path | None, documents: int | Literal["all"] | None) -> RawInput:
    """The demo's own documents, or a folder of the user's; raises PermanentError when nothing in it is usable."""
    if folder is None:
        into = home / f"input-{documents or 'default'}"
        made = make_demo_input(into, home / "cache", documents=documents)
        return RawInput(into, made.days, made.files, f"documents-{documents}")
    if not folder.is_dir():
        raise PermanentError(f"--input {folder}: no such folder")
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    into = home / f"input-{name}"
    copied = from_folder(folder, into, DAYS[0])
    return RawInput(into, (copied.day,), copied.files, name)


def prepare_models(models_path: Path) -> None:
    """Make what the demo's models need once (unpacked weights), so that no task waits for it.

    In a process of its own: it takes 2.5 GB of memory for a moment.
    """
    code = (
        "import sys, pathlib; from realsyn_ops.models.smollm2 import prepare_smollm2 as p; p(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(models_path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"the demo's models cannot be prepared: {done.stderr.strip().splitlines()[-1:]}")


def upload(bucket: Bucket, raw: RawInput) -> int:
    """Make ``raw/DAY/`` of the bucket hold exactly the input's files; returns how many were sent."""
    n_sent = 0
    for day in raw.days:
        there = {item.key: item for item in bucket.list(f"raw/{day}/")}
        files = {f"raw/{name}": raw.path / name for name in raw.files if name.startswith(f"{day}/")}
        for key, path in sorted(files.items()):
            data = path.read_bytes()
            known = there.get(key)
            if known is None or known.etag != hashlib.md5(data, usedforsecurity=False).hexdigest():
                bucket.put(key, data)
                n_sent += 1
        for key in sorted(set(there) - set(files)):
            bucket.delete(key)
    return n_sent


def fetch_release(stack: Stack, version: str) -> Path:
    """Copy a release and its report to the home folder; the report names the local path."""
    path = releases.download_release(stack.bucket, version, stack.home / "releases")
    folder = stack.home / "reports" / version
    folder.mkdir(parents=True, exist_ok=True)
    report = json.loads(stack.bucket.get(f"reports/{version}/report.json"))
    report["release"]["path"] = str(path)
    gallery = json.loads(stack.bucket.get(f"reports/{version}/gallery.json"))
    (folder / "report.json").write_text(json.dumps(report, sort_keys=True, indent=1))
    (folder / "gallery.json").write_text(json.dumps(gallery))
    (folder / "report.html").write_text(render_html(*local_report(stack.home, version)))
    (stack.home / "reports" / "latest").write_text(version)
    return path


def latest_report(home: Path) -> tuple[dict, dict]:
    """Report and gallery of the last release on this machine; raises PermanentError when there is none."""
    with suppress(OSError, ValueError):
        return local_report(home, (home / "reports" / "latest").read_text())
    raise PermanentError(f"no release under {home} yet: run ./realsyn demo first")


def local_report(home: Path, version: str) -> tuple[dict, dict]:
    """Report and gallery of a release that was copied to this machine; with its marker if that is revoked."""
    folder = home / "reports" / version
    report = json.loads((folder / "report.json").read_text())
    marker = home / "releases" / version / releases.REVOKED
    revoked = {"revoked": json.loads(marker.read_text())} if marker.is_file() else {}
    return report | revoked, json.loads((folder / "gallery.json").read_text())
