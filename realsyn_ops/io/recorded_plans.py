"""The plans that the corpus was published by, beside its tables: ``corpus/plans/<dag>/<day>.json``.

A day's rows were judged by the plan of that day. Steps over the whole corpus (near-duplicates, retrieval) leave the
rows of all days as the Dag's last run decided: that plan is ``last.json``. Staging may be deleted; these stay.
"""

import json
from typing import Any

from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket

_LAST = "last"


def record_plan(staging: Staging) -> None:
    """Keep the run's plan as its day's, and as the one by which the Dag published last."""
    plan = json.loads(staging.plan_json())
    record = {"dag": staging.dag, "day": staging.partition, "digest": staging.plan_digest, "plan": plan}
    data = json.dumps(record, sort_keys=True, indent=1).encode()
    for name in (staging.partition, _LAST):
        staging.bucket.put(_key(staging.dag, name), data)


def plan_record(bucket: Bucket, dag: str, day: str = _LAST) -> dict[str, Any] | None:
    """``digest`` and ``plan`` by which the Dag published a day's tables, or published last."""
    found = bucket.find(_key(dag, day))
    return json.loads(found) if found else None


def recorded_plan(bucket: Bucket, dag: str, day: str) -> dict[str, Any] | None:
    """The values of the plan that published the Dag's tables of a day; None when none is recorded."""
    record = plan_record(bucket, dag, day)
    return record["plan"] if record else None


def last_plan(bucket: Bucket, dag: str) -> dict[str, Any] | None:
    """The values of the plan by which the Dag published last, for whichever day."""
    return recorded_plan(bucket, dag, _LAST)


def recorded_plans(bucket: Bucket, dag: str) -> list[dict[str, Any]]:
    """The plans of all days, and the last one."""
    return [json.loads(bucket.get(item.key))["plan"] for item in bucket.list(_key(dag, "").removesuffix(".json"))]


def _key(dag: str, name: str) -> str:
    return f"corpus/plans/{dag}/{name}.json"
