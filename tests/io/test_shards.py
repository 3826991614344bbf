"""Staging on a real object store: what is finished is whole, what is changed is noticed, what is killed is gone."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pytest
from killed_writer import run_killed

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.shards import Staging, check_counts, parquet_bytes
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import IngestPlan

DAY = "2025-02-18"
PLAN = IngestPlan(day=DAY, inputs="in", code="c0de")
COUNTS = {"images.in": 5, "images.kept": 3, "images.rejected.image_broken": 1, "images.rejected.image_aspect": 1}
WRITE_A_SHARD = """
import pyarrow as pa
from realsyn_ops.io.shards import Staging

staging = Staging(bucket, "staging/ingest_documents/2025-02-18/x")
tables = {"images": pa.table({"key": ["b", "a"], "n": [2, 1]}), "rejects": pa.table({"key": ["z"]})}
staging.write("extract", "00000", tables, {"images.in": 2, "images.kept": 2})
staging.finish({"extract": ["00000"]})
"""


@pytest.fixture
def staging(bucket: Bucket) -> Iterator[Staging]:
    yield Staging.create(bucket, "ingest_documents", DAY, PLAN)


def rows(*keys: str) -> pa.Table:
    return pa.table({"key": list(keys), "n": list(range(len(keys)))})


def contents(bucket: Bucket, prefix: str = "") -> dict[str, bytes]:
    return {item.key: bucket.get(item.key) for item in bucket.list(prefix)}


def test_the_folder_is_named_by_dag_partition_and_plan_and_holds_the_plan(staging: Staging) -> None:
    assert staging.prefix == f"staging/ingest_documents/{DAY}/{PLAN.digest}"
    assert (staging.dag, staging.partition) == ("ingest_documents", DAY)
    assert IngestPlan.from_json(staging.plan_json()) == PLAN


def test_shards_are_read_back_in_order_of_name(staging: Staging) -> None:
    staging.write("extract", "00001", {"images": rows("c"), "rejects": rows()}, {})
    staging.write("extract", "00000", {"images": rows("d", "a"), "rejects": rows("x")}, {})
    staging.write("audit", "all", {"images": rows("other stage")}, {})
    assert staging.shards("extract") == ["00000", "00001"]
    assert [table["key"].to_pylist() for table in staging.read("extract", "images")] == [["d", "a"], ["c"]]
    assert staging.read_all("extract", "images").to_pydict() == {"key": ["a", "c", "d"], "n": [1, 0, 0]}
    assert staging.read_shard("extract", "00000", "images", columns=["n"]).column_names == ["n"]


def test_small_files_are_kept_beside_the_shards(staging: Staging) -> None:
    staging.put("words.json", b"{}")
    assert staging.get("words.json") == b"{}"
    with pytest.raises(PermanentError, match=rf"{staging.prefix}/nothing\.json"):
        staging.get("nothing.json")


def test_counts_are_summed_over_shards(staging: Staging) -> None:
    staging.write("extract", "00000", {}, COUNTS)
    staging.write("extract", "00001", {}, {"images.in": 1, "images.kept": 1, "images.rejected.image_aspect": 0})
    assert staging.counts("extract") == {
        "images.in": 6, "images.kept": 4, "images.rejected.image_aspect": 1, "images.rejected.image_broken": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "adds_up"),
    [
        ({}, True),
        ({"images.in": 6}, False),
        ({"images.kept": 2}, False),
        ({"images.rejected.image_broken": 0}, False),
        ({"images.rejected.image_remote": 1}, False),
        ({"documents.in": 1, "documents.kept": 1}, True),
        ({"documents.in": 1, "documents.kept": 0}, False),
        ({"documents.in": 1, "documents.kept": 0, "documents.rejected.empty_document": 1}, True),
        ({"image.in": 0, "image.kept": 0}, True),
    ],
)
def test_in_is_kept_and_rejected(changes: dict[str, int], adds_up: bool) -> None:
    counts = {**COUNTS, **changes}
    if adds_up:
        check_counts(counts, "extract/00000")
    else:
        with pytest.raises(PermanentError, match=r"extract/00000: \d+ \w+ in, but"):
            check_counts(counts, "extract/00000")


def test_counts_that_do_not_add_up_leave_nothing_behind(staging: Staging) -> None:
    with pytest.raises(PermanentError, match="5 images in, but 4 kept and 2 rejected"):
        staging.write("extract", "00000", {"images": rows("a")}, {**COUNTS, "images.kept": 4})
    assert list(staging.bucket.list(f"{staging.prefix}/extract/")) == []


def test_a_shard_is_done_until_its_bytes_change(staging: Staging) -> None:
    file = f"{staging.prefix}/extract/00000.images.parquet"
    assert not staging.is_done("extract", "00000")
    staging.write("extract", "00000", {"images": rows("a", "b"), "rejects": rows()}, {})
    assert staging.is_done("extract", "00000")
    whole = staging.bucket.get(file)
    staging.bucket.put(file, whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not staging.is_done("extract", "00000")
    staging.bucket.put(file, whole)
    assert staging.is_done("extract", "00000")
    staging.bucket.delete(file)
    assert not staging.is_done("extract", "00000")


def test_changed_bytes_are_named_and_never_read(staging: Staging) -> None:
    staging.write("extract", "00000", {"images": rows("a")}, {})
    file = f"{staging.prefix}/extract/00000.images.parquet"
    staging.bucket.put(file, parquet_bytes(rows("b")))
    with pytest.raises(CorruptShardError) as raised:
        list(staging.read("extract", "images"))
    assert raised.value.key == staging.bucket.uri(file)
    assert staging.bucket.uri(file) in str(raised.value)


def test_a_lost_file_is_named(staging: Staging) -> None:
    staging.write("extract", "00000", {"images": rows("a")}, {})
    staging.bucket.delete(f"{staging.prefix}/extract/00000.images.parquet")
    with pytest.raises(PermanentError, match=r"extract/00000\.images\.parquet"):
        staging.read_shard("extract", "00000", "images")


def test_the_same_rows_are_the_same_bytes_however_they_are_cut(staging: Staging) -> None:
    whole = rows(*(f"{n:x}" for n in range(5_000)))
    cut = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 1_111), whole.slice(1_112)])
    assert parquet_bytes(whole) == parquet_bytes(cut)
    staging.write("extract", "00000", {"images": whole}, {})
    first = contents(staging.bucket, staging.prefix)
    staging.write("extract", "00000", {"images": cut}, {})
    assert contents(staging.bucket, staging.prefix) == first


def test_the_manifest_lists_plan_shards_and_checksums(staging: Staging) -> None:
    staging.write("extract", "00000", {"images": rows("a", "b")}, COUNTS)
    staging.write("extract", "00001", {"images": rows("c")}, {})
    manifest = staging.finish({"extract": ["00000", "00001"]})
    assert json.loads(staging.get("manifest.json")) == manifest
    assert manifest["plan"] == json.loads(PLAN.to_json())
    assert manifest["shards"]["extract/00000"]["counts"] == COUNTS
    assert {name: shard["files"]["images"]["n_rows"] for name, shard in manifest["shards"].items()} == {
        "extract/00000": 2, "extract/00001": 1,
    }  # fmt: skip


def test_a_manifest_of_an_unfinished_shard_is_refused(staging: Staging) -> None:
    with pytest.raises(PermanentError, match=r"extract/00000\.json"):
        staging.finish({"extract": ["00000"]})
    assert not staging.bucket.exists(f"{staging.prefix}/manifest.json")


def test_finishing_twice_is_nothing_new_and_other_bytes_are_an_error(staging: Staging) -> None:
    staging.write("extract", "00000", {"images": rows("a")}, {})
    manifest = staging.finish({"extract": ["00000"]})
    assert staging.finish({"extract": ["00000"]}) == manifest
    first = staging.get("manifest.json")
    staging.write("extract", "00000", {"images": rows("b")}, {})
    with pytest.raises(PermanentError, match=r"manifest\.json exists with other bytes"):
        staging.finish({"extract": ["00000"]})
    assert staging.get("manifest.json") == first


@pytest.mark.parametrize(
    "at", ["extract/00000.images.parquet", "extract/00000.rejects.parquet", "extract/00000.json", "/manifest.json"]
)
def test_a_killed_writer_leaves_nothing_visible_and_the_rerun_the_same_bytes(bucket: Bucket, at: str) -> None:
    prefix = "staging/ingest_documents/2025-02-18/x"
    staging = Staging(bucket, prefix)
    staging.put("plan.json", b"{}")
    run_killed(bucket, at=at, work=WRITE_A_SHARD)
    left = contents(bucket, prefix)
    assert not any(key.endswith(at) for key in left)
    assert f"{prefix}/manifest.json" not in left
    assert staging.is_done("extract", "00000") is (at == "/manifest.json")
    assert staging.shards("extract") == (["00000"] if at == "/manifest.json" else [])
    exec(WRITE_A_SHARD, {"bucket": bucket})  # noqa: S102
    again = contents(bucket, prefix)
    assert {key: again[key] for key in left} == left
    assert len(again) == 5
    assert staging.is_done("extract", "00000")
