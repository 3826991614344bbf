"""`realsyn replay`: what is refused before anything runs, and what Airflow is told when it does."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from realsyn_ops.cli import chain
from realsyn_ops.cli.replay import changed_plans, parse_limits, run_replay
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import BadPlanError, PermanentError, RealSynError, ServiceError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import params
from realsyn_ops.plans import ClusterPlan, CuratePlan
from tests.cli.recording_airflow import PUBLISHED_AT, RecordingAirflow, deployed
from tests.report.small_corpus import FIRST, SECOND, record, write_corpus

FORMS = {
    "curate_images": list(params.CURATE),
    "cluster_sentences": list(params.CLUSTER),
    "pair_texts": list(params.PAIR),
}
LATE = "2026-01-01T12:00:00.500001Z"
EARLY = "2026-01-01T12:00:00Z"


@pytest.fixture(scope="module")
def written(store: object) -> Bucket:
    bucket: Bucket = replace(store.bucket, name="test-replay")  # type: ignore[attr-defined]
    bucket.create()
    write_corpus(bucket)
    return bucket


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, written: Bucket) -> Iterator[RecordingAirflow]:
    with deployed(RecordingAirflow(FORMS), written, monkeypatch) as server:
        yield server


def replay(tmp_path: Path, *limits: str, day: str = FIRST, dry_run: bool = False, wait: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, soft_wrap=True)
    run_replay(Stack(tmp_path / "home"), console, day, list(limits), dry_run=dry_run, wait=wait)
    return out.getvalue()


@pytest.mark.parametrize(
    ("limit", "dag", "value"),
    [
        ("max_words=60", "cluster_sentences", 60),
        ("min_entropy=1", "cluster_sentences", 1.0),
        ("drop_personal_data=false", "cluster_sentences", False),
        ("language=", "cluster_sentences", ""),
        ("max_aspect=2.5", "curate_images", 2.5),
        ("max_hash_distance=0", "curate_images", 0),
        ("max_text_similarity=0.9", "pair_texts", 0.9),
    ],
)
def test_a_limit_finds_its_dag_and_has_its_type(limit: str, dag: str, value: object) -> None:
    parsed = parse_limits([limit])
    assert parsed == {dag: {limit.split("=")[0]: value}}
    assert type(next(iter(parsed[dag].values()))) is type(value)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (["max_image_pixels=1000"], "bytes of what it refused were never kept"),
        (["max_nodes=7"], "Trigger ingest_documents for the day with max_nodes=7"),
        (["lower_quantile=0.1"], "release_dataset, which takes all days"),
        (["max_word=60"], "there are: min_side_px, max_aspect, .*max_words"),
        (["seed=1"], "no limit that a day can be replayed with"),
        (["max_words"], "NAME=VALUE"),
        (["max_words=60.5"], "max_words must be a whole number, got '60.5'"),
        (["max_words=true"], "max_words must be a whole number"),
        (["max_aspect=wide"], "max_aspect must be a number"),
        (["drop_personal_data=1"], "drop_personal_data must be true or false"),
        (["max_words=60", "max_text_similarity=0.9"], "replay those first"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_the_reason(limits: list[str], says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        parse_limits(limits)


@pytest.mark.parametrize(
    ("limits", "day", "says"),
    [
        (["max_words=2"], FIRST, "max_words must be at least min_words"),
        (["min_visual_similarity=1.5"], FIRST, "min_visual_similarity must be above 0 and at most 1"),
        (["max_words=81"], FIRST, "was made with max_words=81 already"),
        (["max_words=60"], "2025-02-20", "no plan of cluster_sentences is recorded for 2025-02-20"),
        (["max_words=60"], "yesterday", "partition key must be a day"),
    ],
)
def test_nothing_is_triggered_for_values_that_the_plan_refuses(
    airflow: RecordingAirflow, tmp_path: Path, limits: list[str], day: str, says: str
) -> None:
    with pytest.raises((PermanentError, BadPlanError), match=says):
        replay(tmp_path, *limits, day=day)
    assert airflow.triggered == []


def test_a_limit_over_all_days_can_be_put_back_by_the_day_that_had_it(written: Bucket) -> None:
    (change,) = changed_plans(written, FIRST, {"curate_images": {"min_visual_similarity": 0.9}})
    assert change.before == change.after


def test_a_dry_run_tells_what_would_change_and_triggers_nothing(airflow: RecordingAirflow, tmp_path: Path) -> None:
    said = replay(tmp_path, "max_words=8", "min_side_px=50", "max_aspect=5", dry_run=True)
    assert "curate_images of 2025-02-18: min_side_px 100 -> 50, max_aspect 3.0 -> 5.0" in said
    assert "refused that would pass: 2 (image aspect 1, image too small 1)" in said
    assert "cluster_sentences of 2025-02-18: max_words 81 -> 8" in said
    assert "passing that would be refused: 2 (too many words 2)" in said
    assert airflow.triggered == []
    assert airflow.tokens == set()


def test_both_dags_run_by_the_recorded_plan_with_the_changed_limit(airflow: RecordingAirflow, tmp_path: Path) -> None:
    said = replay(tmp_path, "max_words=60", day=SECOND)
    bodies = dict(airflow.triggered)
    assert set(bodies) == {"cluster_sentences", "curate_images"}
    assert all((b["partition_key"], b["logical_date"]) == (SECOND, None) for b in bodies.values())
    clustered, curated = bodies["cluster_sentences"]["conf"], bodies["curate_images"]["conf"]
    assert (clustered["max_words"], clustered["min_similarity"], clustered["preset"]) == (60, 0.8, "demo")
    assert (curated["min_side_px"], curated["min_visual_similarity"]) == (120, 0.8)
    assert set(clustered) == set(FORMS["cluster_sentences"])
    assert set(curated) == set(FORMS["curate_images"])
    assert "pair_texts follows" in said
    assert airflow.tokens == {"Bearer secret"}


def test_a_limit_of_the_pairs_runs_that_dag_alone(airflow: RecordingAirflow, tmp_path: Path) -> None:
    replay(tmp_path, "max_text_similarity=0.9")
    ((dag, body),) = airflow.triggered
    assert (dag, body["conf"]["max_text_similarity"]) == ("pair_texts", 0.9)


@pytest.mark.parametrize(
    ("queued", "started"),
    [(LATE, []), (PUBLISHED_AT, []), (EARLY, ["pair_texts"]), (None, ["pair_texts"])],
    ids=["after both", "with the last", "before: half of it was left over", "not at all"],
)
def test_waiting_starts_the_pairs_where_no_event_of_both_did(
    airflow: RecordingAirflow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    queued: str | None,
    started: list[str],
) -> None:
    monkeypatch.setattr(chain, "_FOLLOWER_S", 1)
    monkeypatch.setattr(chain, "_POLL_S", 0.05)
    airflow.follower_at = queued
    assert replay(tmp_path, "max_words=60", wait=True).endswith(f"done: {FIRST}\n")
    assert [dag for dag, _ in airflow.triggered][2:] == started


def test_a_paused_dag_is_named_before_any_is_triggered(airflow: RecordingAirflow, tmp_path: Path) -> None:
    airflow.paused.add("curate_images")
    with pytest.raises(ServiceError, match="curate_images is paused"):
        replay(tmp_path, "max_words=60")
    assert airflow.triggered == []


@pytest.mark.parametrize(
    ("missing", "says"),
    [("REALSYN_AIRFLOW_TOKEN", "needs a token"), ("REALSYN_AIRFLOW_URL", "named by both")],
)
def test_a_deployment_named_by_half_is_refused(
    airflow: RecordingAirflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, says: str
) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(PermanentError, match=says):
        replay(tmp_path, "max_words=60")
    assert airflow.triggered == []


def test_the_plan_of_another_version_is_read_with_todays_defaults(bucket: Bucket) -> None:
    record(bucket, "curate_images", CuratePlan(inputs="in", code="old", day=FIRST))
    key = f"corpus/plans/curate_images/{FIRST}.json"
    held = json.loads(bucket.get(key))
    del held["plan"]["max_aspect"]
    bucket.put(key, json.dumps(held).encode())
    changes: list[Any] = changed_plans(bucket, FIRST, {"curate_images": {"min_side_px": 50}})
    assert (changes[0].after.max_aspect, changes[0].after.min_side_px) == (3.0, 50)


def test_a_day_without_images_replays_its_sentences_alone(
    airflow: RecordingAirflow, tmp_path: Path, written: Bucket
) -> None:
    day = "2025-02-21"
    record(written, "cluster_sentences", ClusterPlan(inputs="in", code="c0de", day=day))
    replay(tmp_path, "max_words=60", day=day)
    assert [dag for dag, _ in airflow.triggered] == ["cluster_sentences"]


def test_an_embedded_home_without_services_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RealSynError, match=r"run ./realsyn demo first"):
        replay(tmp_path, "max_words=60")
