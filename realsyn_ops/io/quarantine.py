"""Days that failed a gate, and what a person let pass all the same.

``quarantine/DAG/DAY.json`` lists a day whose audit is red; it goes when the day is published. What was accepted is kept
for good, ``corpus/accepted/DAG/DAY/PLAN.json``: it holds for that plan alone, and for those expectations that whoever
accepted saw broken. It names no record: a takedown leaves it. A release is listed by its version.
"""

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.recorded_plans import plan_record
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket

ENTRIES, ACCEPTED = "quarantine/", "corpus/accepted/"


def quarantine(staging: Staging, broken: list[dict[str, Any]], docs_uri: str) -> dict[str, Any]:
    """List the run's day with what broke: gate, expectation, column, what is allowed, what was observed, failing keys.

    ``values`` are the plan's own: with them the day can be run again.
    """
    entry = {
        "dag": staging.dag,
        "day": staging.partition,
        "plan": staging.plan_digest,
        "values": json.loads(staging.plan_json()),
        "staging": staging.bucket.uri(f"{staging.prefix}/"),
        "at": _now(),
        "broken": broken,
        "docs_uri": docs_uri,
    }
    staging.bucket.put(f"{ENTRIES}{staging.dag}/{staging.partition}.json", _json(entry))
    return entry


def entries(bucket: Bucket, *, dag: str = "", day: str = "") -> list[dict[str, Any]]:
    """What is listed, by Dag and day; of one Dag or day where they are given."""
    keys = [item.key for item in bucket.list(f"{ENTRIES}{dag}/" if dag else ENTRIES)]
    return [json.loads(bucket.get(key)) for key in keys if not day or key.endswith(f"/{day}.json")]


def find_entry(bucket: Bucket, dag: str, day: str) -> dict[str, Any]:
    """Raises PermanentError, with what there is, when this day of this Dag is not listed."""
    found = bucket.find(f"{ENTRIES}{dag}/{day}.json")
    if found is None:
        listed = ", ".join(f"{entry['dag']} {entry['day']}" for entry in entries(bucket)) or "nothing"
        raise PermanentError(f"{dag} {day} is not in quarantine; listed is: {listed}")
    return json.loads(found)


def lift(bucket: Bucket, dag: str, day: str = "") -> None:
    """Take a day off the list, or all of a Dag that makes all days at once."""
    for item in list(bucket.list(f"{ENTRIES}{dag}/{f'{day}.json' if day else ''}")):
        bucket.delete(item.key)


def accept(bucket: Bucket, dag: str, day: str, *, by: str, why: str) -> dict[str, Any]:
    """Keep that somebody lets pass what this listed day broke. Raises PermanentError without a name or a reason."""
    entry = find_entry(bucket, dag, day)
    for name, value in (("by", by), ("why", why)):
        if not value.strip():
            raise PermanentError(f"a quarantined day is accepted by somebody and for a reason: {name} is empty")
    names = sorted({expectation_name(broken) for broken in entry["broken"]})
    said = {"dag": dag, "day": day, "plan": entry["plan"], "accepted": names, "by": by, "why": why, "at": _now()}
    bucket.put(f"{ACCEPTED}{dag}/{day}/{entry['plan']}.json", _json(said))
    return said


def find_acceptance(staging: Staging) -> dict[str, Any] | None:
    """What was accepted for this very plan."""
    found = staging.bucket.find(f"{ACCEPTED}{staging.dag}/{staging.partition}/{staging.plan_digest}.json")
    return json.loads(found) if found else None


def acceptances_in_force(bucket: Bucket) -> list[dict[str, Any]]:
    """Those of the plans that the corpus's days are published by: what a release's card has to say."""
    said = [json.loads(bucket.get(item.key)) for item in bucket.list(ACCEPTED)]
    return [one for one in said if (plan_record(bucket, one["dag"], one["day"]) or {}).get("digest") == one["plan"]]


def expectation_name(broken: dict[str, Any]) -> str:
    """What an acceptance knows a broken expectation by: not what was seen of it."""
    return " ".join(filter(None, (f"{broken['gate']}:", broken["expectation"], broken["column"])))


def unaccepted(broken: Iterable[dict[str, Any]], said: dict[str, Any] | None) -> list[dict[str, Any]]:
    accepted = set(said["accepted"]) if said else set()
    return [one for one in broken if expectation_name(one) not in accepted]


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode()
