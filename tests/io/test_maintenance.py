"""Maintenance on a real bucket: what is old and needed by nobody goes, all else stays."""

import json
import time
from datetime import timedelta

import pyarrow as pa
import pytest

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.maintenance import find_garbage, sweep
from realsyn_ops.io.quarantine import quarantine
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import CuratePlan

DAY = "2025-02-18"
LATER = time.time() + 3600
"""As if everything had been written an hour before."""
SCHEMA = pa.schema([("key", pa.string()), ("day", pa.string()), ("n", pa.int64())])


def staged(bucket: Bucket, day: str) -> Staging:
    staging = Staging.create(bucket, "curate_images", day, CuratePlan(day=day, inputs="i", code="c"))
    staging.put("embed/00000.json", b"{}")
    bucket.put(staging.prefix.replace("staging/", "gates/", 1) + "/docs/index.html", b"<p>")
    bucket.put(staging.prefix.replace("staging/", "gates/", 1) + "/images.json", b"{}")
    return staging


def folders(bucket: Bucket, *, before: float = LATER) -> list[str]:
    return [one.folder for one in find_garbage(bucket, staged_before=before, unfinished_before=before)]


def test_old_staging_and_docs_go_and_what_is_in_quarantine_stays(bucket: Bucket) -> None:
    old, listed = staged(bucket, DAY), staged(bucket, "2025-02-19")
    quarantine(listed, [], "docs")
    assert folders(bucket) == [f"{old.prefix.replace('staging/', 'gates/', 1)}/docs/", f"{old.prefix}/"]
    assert folders(bucket, before=time.time() - 3600) == []
    for folder in folders(bucket):
        assert sweep(bucket, folder) > 0
    assert folders(bucket) == []
    left = {item.key for item in bucket.list("")}
    assert {f"{listed.prefix}/plan.json", f"{old.prefix.replace('staging/', 'gates/', 1)}/images.json"} <= left
    assert not [key for key in left if key.startswith(old.prefix)]


def test_a_release_without_a_manifest_goes_and_a_whole_one_keeps_its_staging(bucket: Bucket) -> None:
    bucket.put("releases/2025-02-18-aaaaaaaa/tars/00000.tar", b"half")
    bucket.put("releases/2025-02-18-bbbbbbbb/tars/00000.tar", b"whole")
    bucket.put("releases/2025-02-18-bbbbbbbb/manifest.json", json.dumps({"published": "2025-02-18"}).encode())
    for version in ("2025-02-18-aaaaaaaa", "2025-02-18-bbbbbbbb"):
        bucket.put(f"staging/release_dataset/{version}/plan/plan.json", b"{}")
    assert folders(bucket) == ["releases/2025-02-18-aaaaaaaa/", "staging/release_dataset/2025-02-18-aaaaaaaa/plan/"]


def rows(*numbers: int) -> pa.Table:
    return pa.table([[f"k{n}" for n in numbers], [DAY] * len(numbers), list(numbers)], schema=SCHEMA)


@pytest.mark.parametrize("kept", [[], [2]])
def test_older_versions_go_but_for_those_to_keep_and_rows_stay(bucket: Bucket, kept: list[int]) -> None:
    corpus = Corpus(bucket)
    for n in range(1, 4):
        corpus.publish("things", SCHEMA, {DAY: lambda columns, n=n: [rows(*range(n)).select(columns)]})
    wanted = corpus.digest("things")
    assert corpus.n_versions("things", older_than=timedelta(0)) == 3
    assert corpus.n_versions("things", older_than=timedelta(days=1)) == 0
    assert corpus.forget_versions("things", older_than=timedelta(days=1), keep=kept) == 0
    assert corpus.forget_versions("things", older_than=timedelta(microseconds=1), keep=kept) > 0
    assert corpus.n_versions("things", older_than=timedelta(0)) == len(kept)
    assert corpus.digest("things") == wanted
    for version in kept:
        assert corpus.read("things", ["n"], version=version)["n"].to_pylist() == [0]
    corpus.forget_versions("things")
    assert corpus.n_versions("things", older_than=timedelta(0)) == 0


def test_a_day_lies_in_one_piece_however_often_it_is_made_again(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    for n in range(1, 5):
        corpus.publish("things", SCHEMA, {DAY: lambda columns, n=n: [rows(i).select(columns) for i in range(n)]})
        fragments = corpus._there("things").get_fragments()
        assert len(fragments) == 2, "the day's and the guard's: there is nothing to compact"


def test_uploads_that_were_never_finished_are_given_up(bucket: Bucket) -> None:
    upload = bucket._call("create_multipart_upload", Key="corpus/x")["UploadId"]
    bucket._call("upload_part", Key="corpus/x", UploadId=upload, PartNumber=1, Body=b"half")
    assert bucket.abort_uploads(before=time.time() - 3600) == 0
    assert list(bucket.open_uploads(before=LATER)) == [("corpus/x", upload)]
    assert bucket.abort_uploads(before=LATER) == 1
    assert list(bucket.open_uploads(before=LATER)) == []
