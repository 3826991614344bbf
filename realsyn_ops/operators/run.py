"""What every task shares: the bucket, the retry policy, a staged run, and the record of what a stage cost."""

import hashlib
import json
import logging
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowNotFoundException

from realsyn_ops.operators.metrics import tell_shard
from realsyn_ops.plans import Plan
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.presets import Preset

log = logging.getLogger(__name__)

Work = dict[str, str]
"""What XCom carries from task to task: ``staging``, the run's folder, and ``shard``, a name in it. Never data."""

SHARD_TIMEOUT = timedelta(minutes=settings().shard_timeout_minutes)
"""For tasks that make one shard; others have the longer one of `DEFAULT_ARGS`."""
DEFAULT_ARGS = {
    "execution_timeout": timedelta(minutes=settings().task_timeout_minutes),
    "retries": 4,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": 2,  # a factor: True would be 1
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule("realsyn_ops.errors.PermanentError", action=RetryAction.FAIL, reason="trying again cannot help"),
        ]
    ),
}


def open_bucket() -> "Bucket":
    """The deployment's bucket, by its Airflow Connection."""
    connection = Connection.get(settings().s3_conn_id)
    return bucket_behind(connection, connection.extra_dejson)


def bucket_behind(connection: Connection, extra: Mapping[str, str]) -> "Bucket":
    """The bucket that a Connection and its extra lead to."""
    from realsyn_ops.io.storage import Bucket

    return Bucket(
        settings().bucket,
        extra.get("endpoint_url"),
        connection.login or None,
        connection.password or None,
        extra.get("region_name", "us-east-1"),
        settings().store_patience_s,
    )


def rewriter_key() -> str:
    """The rewriter endpoint's API key: the password of the Connection `realsyn_rewriter`, empty when there is none."""
    return _api_key("realsyn_rewriter")


def captioner_key() -> str:
    """The captioner endpoint's: that of `realsyn_captioner`."""
    return _api_key("realsyn_captioner")


def _api_key(conn_id: str) -> str:
    try:
        return Connection.get(conn_id).password or ""
    except AirflowNotFoundException:
        return ""


def open_staging(work: Work) -> "Staging":
    from realsyn_ops.io.shards import Staging

    return Staging(open_bucket(), work["staging"])


def resolved_preset(plan: Plan) -> "Preset":
    """The preset's models, as the plan has them."""
    from realsyn_ops.presets import Preset

    return Preset(**dict(plan.models))


def preset_models(name: str) -> tuple[tuple[str, str], ...]:
    """The models of a preset with this deployment's replacements, as a plan keeps them."""
    from dataclasses import asdict

    from realsyn_ops.presets import resolve

    kinds = ("encoder", "captioner", "tagger", "rewriter", "language_model", "parser")
    preset = resolve(name, {kind: getattr(settings(), kind) for kind in kinds})
    return tuple(sorted(asdict(preset).items()))


def digest(value: Any) -> str:
    """Digest of a JSON value: what a plan's `inputs` is made of."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def measured(staging: "Staging", stage: str, shard: str = "all") -> Iterator[dict[str, Any]]:
    """Record wall seconds, CPU seconds and peak memory of a stage under ``runs/``, for the report; log them in one line
    with the shard's counts, and send both to where metrics go.

    What the block puts into the dict is recorded too: what tells of this run and not of its results.
    """
    started = time.time()
    before = resource.getrusage(resource.RUSAGE_SELF)
    further: dict[str, Any] = {}
    yield further
    after = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "dag": staging.dag,
        "day": staging.partition,
        "stage": stage,
        "shard": shard,
        "started": started,
        "ended": time.time(),
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_rss_bytes": after.ru_maxrss * 1024,
        **further,
    }
    made = staging.marker(stage, shard)
    if made:
        cost["n_bytes"] = sum(file["n_bytes"] for file in made["files"].values())
    counts: dict[str, int] = made.get("counts", {})
    seconds = cost["ended"] - started
    log.info(
        "%s %s, shard %s/%s: %s; %.1f s, %.1f CPU-s, %.1f GB%s",
        staging.dag, staging.partition, stage, shard, ", ".join(f"{n} {name}" for name, n in counts.items()) or "done",
        seconds, cost["cpu_seconds"], cost["peak_rss_bytes"] / 2**30, f"; {further}" if further else "",
    )  # fmt: skip
    tell_shard(staging.dag, stage, seconds, counts)
    key = staging.prefix.replace("staging/", "runs/", 1)
    staging.bucket.put(f"{key}/{stage}-{shard}.json", json.dumps(cost, sort_keys=True).encode())


def by_reason(thing: str, n_in: int, n_kept: int, rejected: Mapping[str, int]) -> dict[str, int]:
    """Counts in the form a shard's marker keeps them."""
    return {
        f"{thing}.in": int(n_in),
        f"{thing}.kept": int(n_kept),
        **{f"{thing}.rejected.{reason}": int(n) for reason, n in sorted(rejected.items())},
    }
