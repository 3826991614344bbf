"""The tasks `plan` and `embed` of `curate_images` on a real bucket, with a deployment's policy."""

import io
import random
import sys
import types
from collections.abc import Sequence

import pytest
from airflow.sdk.definitions.param import ParamsDict
from PIL import Image

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.kinds import Verdict
from realsyn_ops.operators import curation, shard_steps
from realsyn_ops.operators.params import CURATE
from realsyn_ops.plans import CuratePlan
from realsyn_ops.records import image_key
from realsyn_ops.settings import settings
from tests.report.small_corpus import FIRST, publish


def patches(seed: int, side: int) -> bytes:
    small = Image.frombytes("RGB", (8, 8), random.Random(seed).randbytes(192))
    content = io.BytesIO()
    small.resize((side, side), Image.Resampling.NEAREST).save(content, "PNG")
    return content.getvalue()


class Pale:
    """Refuses white pictures."""

    name = "pale@1"

    def judge(self, images: Sequence[Image.Image]) -> list[Verdict | None]:
        return [Verdict(0.9, "white") if image.getpixel((0, 0)) == (255, 255, 255) else None for image in images]


@pytest.fixture
def day(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Keys of the day's images by what is to become of them."""
    monkeypatch.setattr(curation, "open_bucket", lambda: bucket)
    monkeypatch.setattr(shard_steps, "open_staging", lambda work: Staging(bucket, work["staging"]))
    monkeypatch.setitem(sys.modules, "deployment_policies", types.SimpleNamespace(pale=Pale))
    white = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(white, "PNG")
    images = {"": patches(1, 200), "image_too_small": patches(2, 64), "image_policy": white.getvalue()}
    rows = [
        {
            "key": image_key(data),
            "day": FIRST,
            "data": data,
            "format": "PNG",
            "width": side,
            "height": side,
            "n_nodes": 1,
        }
        for data, side in zip(images.values(), (200, 64, 200), strict=True)
    ]
    publish(Corpus(bucket), "images", rows)
    return {image_key(data): reason for reason, data in images.items()}


def plan_and_embed(bucket: Bucket, policies: str, monkeypatch: pytest.MonkeyPatch) -> Staging:
    monkeypatch.setenv("REALSYN_IMAGE_POLICIES", policies)
    settings.cache_clear()
    try:
        context = {"partition_key": FIRST, "params": ParamsDict({**CURATE, "preset": "demo"})}
        (work,) = curation.plan.function(**context)
        curation.embed.function(work)
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    return Staging(bucket, work["staging"])


def test_a_policys_refusal_is_scored_named_and_part_of_the_plan(
    bucket: Bucket, day: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = plan_and_embed(bucket, "deployment_policies:pale", monkeypatch)
    scores = {row["key"]: row for row in staging.read_all(curation.STAGE, "scores").to_pylist()}
    assert {key: row["reason"] or "" for key, row in scores.items()} == day
    refused = next(row for row in scores.values() if row["reason"] == "image_policy")
    assert (refused["value"], refused["detail"]) == (0.9, "pale@1: white")
    assert refused["flatness"] is not None
    kept = staging.read_all(curation.STAGE, "embeddings")["key"].to_pylist()
    assert kept == [key for key, reason in day.items() if not reason]
    assert CuratePlan.from_json(staging.plan_json()).image_policies == "pale@1"


def test_a_setting_that_changed_after_the_plan_stops_the_task(
    bucket: Bucket, day: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = {"partition_key": FIRST, "params": ParamsDict({**CURATE, "preset": "demo"})}
    (work,) = curation.plan.function(**context)
    monkeypatch.setenv("REALSYN_IMAGE_POLICIES", "deployment_policies:pale")
    settings.cache_clear()
    with pytest.raises(PermanentError, match="REALSYN_IMAGE_POLICIES is now 'pale@1', the plan has ''"):
        curation.embed.function(work)
    settings.cache_clear()
    assert len(day) == 3
