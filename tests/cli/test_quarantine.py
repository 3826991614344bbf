"""`realsyn quarantine`: what is listed, what an acceptance keeps, and what Airflow is told."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from realsyn_ops.cli.quarantine import accept_day, list_quarantine, replay_day
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import PermanentError
from realsyn_ops.io.quarantine import accept, entries, expectation_name, find_acceptance, lift, quarantine, unaccepted
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import params
from realsyn_ops.plans import CuratePlan
from tests.cli.recording_airflow import RecordingAirflow, deployed

DAY = "2025-02-18"
BROKEN = {
    "gate": "images", "expectation": "expect_column_values_to_be_in_set", "column": "format", "severity": "critical",
    "allowed": "{'value_set': ['PNG']}", "observed": "5 of 9 rows, e.g. ['BMP']", "keys": [f"i{n}" for n in range(5)],
    "text": "expect_column_values_to_be_in_set of format: 5 of 9 rows",
}  # fmt: skip


@pytest.fixture
def staging(bucket: Bucket) -> Staging:
    staging = Staging.create(bucket, "curate_images", DAY, CuratePlan(day=DAY, inputs="i", code="c", min_side_px=64))
    quarantine(staging, [BROKEN], "s3://b/gates/index.html")
    return staging


def printed(bucket: Bucket, **asked: object) -> str:
    out = io.StringIO()
    list_quarantine(bucket, Console(file=out, width=200), **{"day": "", "as_json": False} | asked)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_day_is_listed_with_what_broke_and_some_of_the_rows(bucket: Bucket, staging: Staging) -> None:
    text = printed(bucket)
    assert f"curate_images {DAY}: plan {staging.plan_digest}" in text
    assert "images: expect_column_values_to_be_in_set of format" in text
    assert "rows: i0, i1, i2 and more (--json has 5)" in text
    assert "s3://b/gates/index.html" in text
    assert printed(bucket, day="2025-02-19") == "nothing is in quarantine\n"


def test_an_acceptance_is_for_one_plan_and_what_was_listed(bucket: Bucket, staging: Staging) -> None:
    out = io.StringIO()
    accept_day(bucket, Console(file=out), "curate_images", DAY, by="anna", why="as it should be")
    assert f"./realsyn quarantine replay {DAY} --dag curate_images" in out.getvalue()
    said = find_acceptance(staging)
    assert said and said["accepted"] == [expectation_name(BROKEN)]
    assert (said["by"], said["why"]) == ("anna", "as it should be")
    assert "i0" not in json.dumps(said), "an acceptance names no record"
    assert unaccepted([BROKEN, BROKEN | {"column": "width"}], said) == [BROKEN | {"column": "width"}]
    assert unaccepted([BROKEN], None) == [BROKEN]
    other = Staging.create(bucket, "curate_images", DAY, CuratePlan(day=DAY, inputs="i", code="c", min_side_px=65))
    assert find_acceptance(other) is None


def test_only_what_is_listed_is_accepted_by_somebody_for_a_reason(bucket: Bucket, staging: Staging) -> None:
    with pytest.raises(PermanentError, match="not in quarantine; listed is: curate_images 2025-02-18"):
        accept(bucket, "pair_texts", DAY, by="anna", why="x")
    for by, why, name in (("", "x", "by"), ("anna", " ", "why")):
        with pytest.raises(PermanentError, match=f"{name} is empty"):
            accept(bucket, "curate_images", DAY, by=by, why=why)
    assert find_acceptance(staging) is None


def test_publishing_takes_a_day_off_and_leaves_the_others(bucket: Bucket, staging: Staging) -> None:
    later = Staging.create(bucket, "curate_images", "2025-02-19", CuratePlan(day="2025-02-19", inputs="i", code="c"))
    quarantine(later, [BROKEN], "")
    lift(bucket, "curate_images", DAY)
    assert [entry["day"] for entry in entries(bucket)] == ["2025-02-19"]
    lift(bucket, "curate_images")
    assert entries(bucket) == []


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> Iterator[RecordingAirflow]:
    with deployed(RecordingAirflow({"curate_images": list(params.CURATE)}), bucket, monkeypatch) as server:
        yield server


def test_a_replay_runs_the_day_by_the_plan_that_failed(
    airflow: RecordingAirflow, staging: Staging, tmp_path: Path
) -> None:
    out = io.StringIO()
    replay_day(Stack(tmp_path), Console(file=out), "curate_images", DAY, wait=True)
    ((dag, body),) = airflow.triggered
    assert (dag, body["partition_key"]) == ("curate_images", DAY)
    assert body["conf"]["min_side_px"] == 64
    assert set(body["conf"]) <= set(params.CURATE)
    assert f"published: curate_images {DAY}" in out.getvalue()
