"""Gates on real Airflow: a planted fault turns the task red, publishes nothing, and the mended run is green.

Every gate is tripped in `tests/operators/test_gates.py`, by the same tasks without a scheduler.
"""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.demo.documents import DAYS
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.quarantine import entries
from realsyn_ops.io.releases import versions
from realsyn_ops.io.shards import parquet_bytes
from realsyn_ops.io.storage import Bucket
from tests.flow.harness import Demo, wait_for
from tests.planted import all_rows, planted

DAY = DAYS[1]

pytestmark = pytest.mark.timeout(1500)


def no_second_text(table: pa.Table) -> pa.Table:
    return table.set_column(table.column_names.index("text2"), "text2", pa.nulls(table.num_rows, pa.string()))


def staged_run(bucket: Bucket, dag: str, stage: str) -> str:
    """The folder of the day's run that has shards of this stage."""
    found = [item.key for item in bucket.list(f"staging/{dag}/{DAY}/") if f"/{stage}/" in item.key]
    return "/".join(found[0].split("/")[:4])


def test_a_fault_in_staged_data_turns_the_audit_red_and_publishes_nothing(demo: Demo) -> None:
    bucket, dag, gate = demo.stack.bucket, "ingest_documents", "images"
    before = Corpus(bucket).version("images")
    with planted(bucket, staged_run(bucket, dag, "extract"), "extract", "images", all_rows(format="BMP")):
        run = demo.api.trigger(dag, partition_key=DAY)
        states = wait_for(demo.api, run)
        assert (states["audit"], states["publish"]) == ("failed", "upstream_failed")
        audit = next(task for task in demo.api.tasks(run) if task.task == "audit")
        assert audit.try_number == 1, "a failed gate must not be retried"
        assert f"gate {gate}" in demo.api.log_end(run, audit, n_lines=40)
    assert Corpus(bucket).version("images") == before
    (entry,) = entries(bucket, dag=dag, day=DAY)
    assert {broken["gate"] for broken in entry["broken"]} == {gate}
    assert all(broken["keys"] for broken in entry["broken"])
    verdicts = [
        json.loads(bucket.get(i.key)) for i in bucket.list(f"gates/{dag}/{DAY}/") if i.key.endswith(f"/{gate}.json")
    ]
    assert any(not verdict["passed"] and verdict["failures"] for verdict in verdicts)
    mended = wait_for(demo.api, demo.api.trigger(dag, partition_key=DAY))
    assert mended["publish"] == "success"
    assert Corpus(bucket).version("images") == before
    assert entries(bucket) == []


def test_an_incomplete_release_turns_the_audit_red_and_is_never_visible(demo: Demo) -> None:
    bucket = demo.stack.bucket
    known = versions(bucket)
    first = wait_for(demo.api, demo.api.trigger("release_dataset", partition_key=None, conf={"seed": 7}))
    assert first["publish"] == "success"
    (version,) = set(versions(bucket)) - set(known)
    bucket.delete(f"releases/{version}/manifest.json")
    prefix = next(
        i.key.rsplit("/", 1)[0] for i in bucket.list(f"staging/release_dataset/{version}/") if "plan.json" in i.key
    )
    key = f"{prefix}/release/pairs/00000.parquet"
    original = bucket.get(key)
    bucket.put(key, parquet_bytes(no_second_text(pq.read_table(pa.BufferReader(original)))))
    states = wait_for(demo.api, demo.api.trigger("release_dataset", partition_key=None, conf={"seed": 7}))
    assert (states["audit"], states["publish"]) == ("failed", "upstream_failed")
    assert versions(bucket) == known
    bucket.put(key, original)
    mended = wait_for(demo.api, demo.api.trigger("release_dataset", partition_key=None, conf={"seed": 7}))
    assert mended["publish"] == "success"
    assert version in versions(bucket)


@pytest.mark.parametrize(
    ("key", "words"), [(None, "partition key must be a day"), ("2999-01-01", "partition key must be today or earlier")]
)
def test_a_missing_or_future_day_is_refused_by_name(demo: Demo, key: str | None, words: str) -> None:
    run = demo.api.trigger("ingest_documents", partition_key=key)
    states = wait_for(demo.api, run)
    assert states["plan"] == "failed"
    plan = next(task for task in demo.api.tasks(run) if task.task == "plan")
    assert plan.try_number == 1
    assert words in demo.api.log_end(run, plan, n_lines=40)
