"""The changelog of a release that is being published: against which one, and what a cleared task tells."""

import json

import pyarrow as pa
import pytest

from realsyn_ops.io.release_changes import CHANGED_KEYS, CHANGELOG
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators.changes import changelog_files
from realsyn_ops.plans import ReleasePlan
from tests.io.small_release import pair, publish, selection_facts

SELECTION = pa.table({"key": ["i1", "i2", "i3"], "reason": pa.array(["cluster_cap", None, None], pa.string())})


@pytest.fixture
def staging(bucket: Bucket) -> Staging:
    """The second release, staged: i2 and i3."""
    staging = Staging.create(bucket, "release_dataset", "v2", ReleasePlan(inputs="in", code="c0de"))
    for path, data in publish(bucket, "x", [pair("i2"), pair("i3")]).items():
        bucket.put(f"{staging.prefix}/release/{path}", data)
    staging.put("selection.json", b"{}")
    for item in list(bucket.list("releases/x/")):
        bucket.delete(item.key)
    return staging


def test_a_first_release_has_no_changelog(staging: Staging) -> None:
    assert changelog_files(staging, SELECTION) == ("", {})


def test_a_release_is_held_against_the_one_published_last(staging: Staging) -> None:
    publish(staging.bucket, "v1", [pair("i1"), pair("i2")])
    previous, files = changelog_files(staging, SELECTION)
    assert (previous, set(files)) == ("v1", {CHANGELOG, CHANGED_KEYS})
    head, *lines = map(json.loads, files[CHANGED_KEYS].splitlines())
    assert head["previous"] == "v1"
    assert [(line["key"], line["change"], line["why"]) for line in lines] == [
        ("i1", "removed", "cluster_cap"), ("i3", "added", "unknown"),
    ]  # fmt: skip
    assert changelog_files(staging, SELECTION) == (previous, files)


def test_a_published_release_keeps_its_changelog_and_an_unpublished_one_does_not(staging: Staging) -> None:
    publish(staging.bucket, "v1", [pair("i1"), pair("i2")])
    first = changelog_files(staging, SELECTION)
    publish(staging.bucket, "v3", [pair("i2"), pair("i3")])
    previous, files = changelog_files(staging, SELECTION)
    assert previous == "v3"
    assert json.loads(files[CHANGED_KEYS].splitlines()[0])["same"] == 2
    publish(staging.bucket, "v2", [pair("i2"), pair("i3")], previous=previous, texts=files)
    publish(staging.bucket, "v4", [pair("i9")])
    assert changelog_files(staging, SELECTION) == (previous, files) != first


def test_several_scales_are_one_release(bucket: Bucket) -> None:
    scales = {"pairs": [pair("i2"), pair("i4")], "more": [pair("i1"), pair("i3")]}
    staging = Staging.create(bucket, "release_dataset", "v2", ReleasePlan(inputs="in", code="c0de"))
    staging.put("selection.json", json.dumps(selection_facts(*scales.values())).encode())
    for path, data in publish(bucket, "v1", **scales).items():
        bucket.put(f"{staging.prefix}/release/{path}", data)
    _, files = changelog_files(staging, SELECTION)
    head = json.loads(files[CHANGED_KEYS].splitlines()[0])
    assert (head["same"], head["listed"]) == (4, 0)
