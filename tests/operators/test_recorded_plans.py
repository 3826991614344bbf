"""Plans beside the tables they made: found by day and by the last run, whatever becomes of staging."""

import json

import pyarrow as pa

from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.recorded_plans import last_plan, recorded_plan, recorded_plans
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators.duplicates import near_survivors
from realsyn_ops.operators.made_with import corpus_limits, image_policies, pair_models
from realsyn_ops.operators.publishing import one_table, publish_days
from realsyn_ops.operators.retrieval import made_by
from realsyn_ops.plans import CuratePlan, PairPlan

FIRST, SECOND = "2025-02-18", "2025-02-19"


def publish(bucket: Bucket, plan: CuratePlan) -> Staging:
    staging = Staging.create(bucket, "curate_images", plan.day, plan)
    row = {"key": f"i-{plan.day}", "day": plan.day, "n_nodes": 1, "width": 9, "height": 9}
    table = pa.Table.from_pylist([row], schema=schemas.IMAGE_SCORES)
    publish_days(staging, {"image_scores": (schemas.IMAGE_SCORES, {plan.day: one_table(table)})})
    return staging


def curated(day: str, near: float, **limits: int) -> CuratePlan:
    return CuratePlan(inputs="in", code="c0de", day=day, min_visual_similarity=near, **limits)  # type: ignore[arg-type]


def forget_staging(bucket: Bucket) -> None:
    for item in list(bucket.list("staging/")):
        bucket.delete(item.key)


def test_publishing_records_the_plan_of_the_day_and_the_last_one(bucket: Bucket) -> None:
    first, second = curated(FIRST, 0.9), curated(SECOND, 0.8)
    staging = publish(bucket, first)
    publish(bucket, second)
    forget_staging(bucket)
    assert CuratePlan.from_json(json.dumps(recorded_plan(bucket, "curate_images", FIRST))) == first
    assert CuratePlan.from_json(json.dumps(last_plan(bucket, "curate_images"))) == second
    held = json.loads(bucket.get(f"corpus/plans/curate_images/{FIRST}.json"))
    assert (held["digest"], held["day"], staging.prefix.endswith(held["digest"])) == (first.digest, FIRST, True)
    assert recorded_plan(bucket, "curate_images", "2025-02-20") is None
    assert last_plan(bucket, "pair_texts") is None


def test_publishing_again_leaves_the_same_bytes(bucket: Bucket) -> None:
    publish(bucket, curated(FIRST, 0.9))
    before = {item.key: bucket.get(item.key) for item in bucket.list("corpus/plans/")}
    publish(bucket, curated(FIRST, 0.9))
    assert {item.key: bucket.get(item.key) for item in bucket.list("corpus/plans/")} == before
    assert len(before) == 2


def test_a_plan_is_recorded_after_the_tables(bucket: Bucket) -> None:
    staging = Staging.create(bucket, "curate_images", FIRST, curated(FIRST, 0.9))
    wrong = pa.Table.from_pylist([{"key": "i", "day": SECOND}], schema=schemas.IMAGE_SCORES)
    try:
        publish_days(staging, {"image_scores": (schemas.IMAGE_SCORES, {FIRST: one_table(wrong)})})
    except Exception:  # noqa: BLE001 - whatever stops the tables
        assert recorded_plans(bucket, "curate_images") == []
    else:
        raise AssertionError("rows of another day were published")


def test_the_gate_of_a_release_knows_the_thresholds_without_staging(bucket: Bucket) -> None:
    import numpy as np

    staging = publish(bucket, curated(FIRST, 0.7))
    publish(bucket, curated(SECOND, 0.9))
    forget_staging(bucket)
    near = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.0, 1.0]], np.float32)
    assert near_survivors(staging, near).tolist() == [False, False, False, True]


def test_the_card_names_limits_and_models_without_staging(bucket: Bucket) -> None:
    publish(bucket, curated(FIRST, 0.7, min_side_px=100))
    publish(bucket, curated(SECOND, 0.9, min_side_px=120))
    plan = PairPlan(inputs="in", code="c0de", day=FIRST, models=(("tagger", "demo"),))
    staging = Staging.create(bucket, "pair_texts", FIRST, plan)
    pair = {"key": "i", "day": FIRST, "made_by": made_by(plan)}
    table = pa.Table.from_pylist([pair], schema=schemas.PAIRS)
    publish_days(staging, {"pairs": (schemas.PAIRS, {FIRST: one_table(table)})})
    forget_staging(bucket)
    limits = corpus_limits(bucket)
    assert set(limits) == {"curate_images", "pair_texts"}
    assert limits["curate_images"]["min_side_px"] == "100, 120"
    assert limits["curate_images"]["min_visual_similarity"] == "0.9"
    assert pair_models(bucket) == {"tagger": "demo"}
    assert image_policies(bucket) == [""]
    assert Corpus(bucket).days("pairs") == [FIRST]
