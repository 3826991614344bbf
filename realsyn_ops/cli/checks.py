"""What `realsyn doctor` looks at: the store, models, endpoints, Airflow, the machine. A check gives findings and raises
nothing that a service's state can cause."""

import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import psutil

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.services import MIN_FREE_BYTES, Stack
from realsyn_ops.errors import RealSynError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.tag_lists import read_tag_list
from realsyn_ops.io.takedown_lock import check_no_takedown
from realsyn_ops.presets import Preset, read_served
from realsyn_ops.settings import settings

MAX_SKEW_S = 5
REFUSED_SKEW_S = 300
"""S3 refuses requests whose clock is a quarter of an hour off; some stores sooner."""
MODEL_BYTES = 3 * 2**30
"""What a task takes beside its vectors with the models of `demo` loaded."""


@dataclass(frozen=True)
class Finding:
    """``what`` was looked at, what was ``seen``, and what to ``do`` about it unless it is ok."""

    level: Literal["ok", "warn", "bad"]
    what: str
    seen: str
    do: str = ""


def check_machine(home: Path) -> Iterator[Finding]:
    """Disk under the home folder, and memory for one task."""
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    seen = f"{free / 2**30:.1f} GB free under {folder}"
    if free < MIN_FREE_BYTES:
        yield Finding("bad", "disk", seen, f"make room: {MIN_FREE_BYTES / 2**30:.0f} GB are needed to start")
    elif free < 4 * MIN_FREE_BYTES:
        yield Finding("warn", "disk", seen, "delete old folders below staging/ and releases you do not need")
    else:
        yield Finding("ok", "disk", seen)
    available = psutil.virtual_memory().available
    wanted = settings().memory_bytes + MODEL_BYTES
    seen = f"{available / 2**30:.1f} GB available, a task may take {wanted / 2**30:.1f} GB"
    if available < wanted:
        yield Finding("warn", "memory", seen, "lower REALSYN_MEMORY_BYTES or the tasks at once")
    else:
        yield Finding("ok", "memory", seen)


def check_bucket(bucket: Bucket) -> Iterator[Finding]:
    """Whether it takes writes, refuses what exists already, and has our clock; and whether a takedown holds it."""
    key = f".doctor/{secrets.token_hex(8)}"
    try:
        before = time.time()
        bucket.put(key, b"1")
        if bucket.get(key) != b"1":
            yield Finding("bad", "bucket", f"{bucket.uri(key)} does not read as it was written", "look at the store")
            return
        yield Finding("ok", "bucket", f"{bucket.uri('')} takes writes at {bucket.endpoint_url or 'AWS'}")
        if bucket.put_new(key, b"2") or bucket.get(key) != b"1":
            do = "take a store that honours it: manifests and releases could be overwritten"
            yield Finding("bad", "conditional writes", "the store ignores If-None-Match", do)
        else:
            yield Finding("ok", "conditional writes", "the store honours If-None-Match")
        [info] = bucket.list(key)
        yield _clock(info.modified - before, time.time() - before)
    except RealSynError as error:
        yield Finding("bad", "bucket", str(error), "see the Connection realsyn_s3: endpoint, keys, bucket; is it full?")
        return
    finally:
        _delete(bucket, key)
    try:
        check_no_takedown(bucket)
    except RealSynError as error:
        yield Finding("warn", "takedown", str(error), "no other run begins or publishes until it is done")


def check_volumes(stack: Stack) -> Iterator[Finding]:
    """Room for new volumes in the embedded SeaweedFS: without, even small writes fail."""
    try:
        url = f"http://127.0.0.1:{stack.endpoints.master_port}/dir/status"
        topology = httpx.get(url, timeout=5, trust_env=False).json()["Topology"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        yield Finding("warn", "volumes", f"SeaweedFS does not tell: {error}", "see .realsyn/run/seaweedfs.log")
        return
    seen = f"{topology['Free']} of {topology['Max']} volumes are free"
    do = "delete what is not needed, then run the master's /vol/vacuum (docs/operations.md, Disk and backup)"
    yield Finding("ok", "volumes", seen) if topology["Free"] > 10 else Finding("bad", "volumes", seen, do)


def check_model(kind: str, spec: str, preset: Preset, bucket: Bucket | None, models_path: Path) -> Finding:
    """Load a model as a task would. A mined list of tags is read from the bucket."""
    from realsyn_ops.models import load

    where: dict[str, Any] = {"device": settings().device, "threads": settings().threads, "models_path": models_path}
    what = f"{kind} {spec}"
    started = time.monotonic()
    try:
        if kind == "tagger":
            tags: tuple[str, ...] = ()
            if spec.startswith("mined:"):
                if bucket is None:
                    return Finding("warn", what, "its list is in the bucket, which does not answer", "see above")
                tags = read_tag_list(bucket, spec.removeprefix("mined:")).names
            load.load_tagger(spec, encoder=load.load_encoder(preset.encoder, **where), tags=tags, **where)
        else:
            getattr(load, f"load_{kind}")(spec, **where)
    except (RealSynError, ImportError) as error:
        return Finding("bad", what, str(error), "see Changing models in docs/operations.md")
    return Finding("ok", what, f"loaded in {time.monotonic() - started:.1f} s")


def check_served(kind: str, spec: str) -> Iterator[Finding]:
    """Whether each endpoint of a served model answers, and has the model. Its key is known to Airflow alone."""
    served = read_served(spec)
    for url in served.urls:
        what = f"{kind} {url}"
        try:
            answer = httpx.get(f"{url}/models", timeout=10)
            if answer.status_code in {401, 403}:
                yield Finding("ok", what, f"answers ({answer.status_code}: it wants the key that Airflow has)")
                continue
            models = [one["id"] for one in answer.raise_for_status().json()["data"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            yield Finding("bad", what, f"does not answer: {error or type(error).__name__}", "start it, or see its logs")
            continue
        if served.model in models:
            yield Finding("ok", what, f"serves {served.model}")
        else:
            yield Finding("bad", what, f"serves {', '.join(models)}", f"serve {served.model}, or name another")


def check_ray() -> Iterator[Finding]:
    """Whether the Ray cluster's port is open, and there is a token for it."""
    address = settings().ray_address
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        yield Finding("bad", "ray", f"{address} does not answer: {error}", "start the head node, or empty the setting")
    else:
        yield Finding("ok", "ray", f"{address} answers")
    if not os.environ.get("RAY_AUTH_TOKEN"):
        do = "set RAY_AUTH_MODE=token and the cluster's RAY_AUTH_TOKEN"
        yield Finding("warn", "ray token", "no RAY_AUTH_TOKEN here: whoever reaches the cluster may run code on it", do)


def check_airflow(api: AirflowApi) -> Iterator[Finding]:
    """Its components, Dags that it cannot import or that are paused, and pools without room."""
    try:
        for part, state in sorted(api.health().items()):
            seen = f"{state} at {api.url}"
            do = "start it anew (./realsyn down, ./realsyn up; in compose: restart that service); see its log"
            yield Finding("ok", part, seen) if state == "healthy" else Finding("bad", part, seen, do)
        errors = api.import_errors()
        for file, last in errors.items():
            yield Finding("bad", f"Dag file {file}", last, "mend the setting or the package that it names")
        if not errors:
            yield Finding("ok", "Dags", "all files are imported")
        if paused := api.paused():
            yield Finding("warn", "Dags", f"paused: {', '.join(paused)}", "switch them on, or their runs never start")
        for name, slots, n_open, n_queued in api.pools():
            seen = f"{n_open} of {slots} slots are free, {n_queued} tasks wait"
            do = "more slots in Admin > Pools, or wait"
            yield Finding("warn" if n_queued and n_open <= 0 else "ok", f"pool {name}", seen, do)
    except RealSynError as error:
        yield Finding("bad", "airflow", str(error), "see its log; is the token still good?")


def _clock(skew: float, took: float) -> Finding:
    """``skew``: the store's time of the write beyond ours before it, which is at most what it ``took`` when all is well
    (and a second less where the store cuts fractions)."""
    off = max(0.0, skew - took, -skew - 1)
    seen = f"the store's clock differs by {off:.0f} s"
    do = "set both clocks by NTP: S3 refuses requests when they differ too much"
    if off > MAX_SKEW_S:
        return Finding("bad" if off > REFUSED_SKEW_S else "warn", "clock", seen, do)
    return Finding("ok", "clock", seen)


def _delete(bucket: Bucket, key: str) -> None:
    try:
        bucket.delete(key)
    except RealSynError:
        return
