"""Verifying a release on a real object store: a whole one is good, and every planted fault is named."""

import io
import json
import tarfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.release_check import check_release
from realsyn_ops.io.releases import revoke
from realsyn_ops.io.shards import parquet_bytes
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.webdataset import Sample, write_tar
from tests.io.small_release import mend_manifest, pair, picture, publish

KEYS = [f"i{n}" for n in range(5)]
Files = dict[str, bytes]


@pytest.fixture
def files(bucket: Bucket) -> Files:
    return publish(bucket, "v1", [pair(key) for key in KEYS])


def samples_of(tar: bytes) -> list[Sample]:
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        for member in members:
            name, _, kind = member.name.partition(".")
            found.setdefault(name, {})[kind] = members.extractfile(member).read()  # type: ignore[union-attr]
    return [Sample(name, m["jpg"], m["txt"].decode(), json.loads(m["json"])) for name, m in found.items()]


def changed_rows(data: bytes, change: Callable[[list[dict]], object]) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    rows = table.to_pylist()
    change(rows)
    return parquet_bytes(pa.Table.from_pylist(rows, schema=table.schema))


@pytest.mark.parametrize(("is_deep", "n_images"), [(False, 0), (True, 5)])
def test_a_whole_release_is_good_revoked_or_not(bucket: Bucket, files: Files, is_deep: bool, n_images: int) -> None:
    check = check_release(bucket, "v1", is_deep=is_deep)
    assert (check.problems, check.n_files, check.n_pairs, check.n_images) == ([], 5, 5, n_images)
    assert check.n_bytes == sum(map(len, files.values())) + len(b"# card")
    revoke(bucket, "v1", "a complaint")
    assert check_release(bucket, "v1").is_good


def test_a_version_that_is_not_published_is_an_error_with_those_that_are(bucket: Bucket, files: Files) -> None:
    with pytest.raises(PermanentError, match="release 'v' is not published; there are: v1"):
        check_release(bucket, "v")


@pytest.mark.parametrize("path", ["README.md", "pairs/00000.parquet", "tars/00001.tar"])
def test_missing_cut_changed_and_foreign_files_are_named(bucket: Bucket, files: Files, path: str) -> None:
    data = bucket.get(f"releases/v1/{path}")
    bucket.put(f"releases/v1/{path}", data[:-1])
    assert f"{path}: has {len(data) - 1} bytes, the manifest says {len(data)}" in check_release(bucket, "v1").problems
    bucket.put(f"releases/v1/{path}", data[:-1] + bytes([data[-1] ^ 1]))
    assert any(p.startswith(f"{path}: sha256 is") for p in check_release(bucket, "v1").problems)
    bucket.delete(f"releases/v1/{path}")
    assert f"{path}: is missing" in check_release(bucket, "v1").problems
    bucket.put(f"releases/v1/{path}", data)
    bucket.put("releases/v1/pairs/00009.parquet", b"")
    assert check_release(bucket, "v1").problems == ["pairs/00009.parquet: is not in the manifest"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.append(rows[-1]), "i2 stands twice"),
        (lambda rows: rows.reverse(), "i1 comes after i2: keys are not in order"),
        (lambda rows: rows[0].update(text1="Another text."), "i0: text1_key is not the key of its text"),
        (lambda rows: rows.pop(), "manifest.json: says 5 pairs, the files hold 4"),
    ],
    ids=["twice", "order", "text", "count"],
)
def test_rows_that_are_wrong_though_their_checksum_is_right_are_named(
    bucket: Bucket, files: Files, change: Callable, says: str
) -> None:
    path = "pairs/00000.parquet"
    mend_manifest(bucket, "v1", path, changed_rows(files[path], change))
    assert any(says in problem for problem in check_release(bucket, "v1").problems)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda samples: samples[1:], "has no sample of i0"),
        (lambda samples: [*samples, Sample("i9", picture("i9"), "", {})], "sample i9 is in no row"),
        (lambda samples: [Sample(s.key, s.jpg, "other", s.json) for s in samples], "sample i1: txt is not the row's"),
        (lambda samples: [Sample(s.key, s.jpg, s.txt, {}) for s in samples], "json has no syn_text, text2, text3"),
        (
            lambda samples: [Sample(s.key, s.jpg, s.txt, s.json | {"text3": "x"}) for s in samples],
            "sample i0: json's text3 is not the row's",
        ),
    ],
    ids=["left out", "too many", "text", "fields", "field"],
)
def test_samples_that_are_not_the_rows_are_named(bucket: Bucket, files: Files, change: Callable, says: str) -> None:
    path = "tars/00000.tar"
    mend_manifest(bucket, "v1", path, write_tar(change(samples_of(files[path]))))
    problems = check_release(bucket, "v1").problems
    assert any(problem.startswith(path) and says in problem for problem in problems), problems


def test_a_cut_tar_and_a_member_too_few_are_named(bucket: Bucket, files: Files) -> None:
    path = "tars/00000.tar"
    mend_manifest(bucket, "v1", path, files[path][:1_000])
    assert any("is not readable as a tar" in problem for problem in check_release(bucket, "v1").problems)
    without = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(files[path])) as old, tarfile.open(fileobj=without, mode="w") as new:
        for member in old.getmembers()[1:]:
            new.addfile(member, old.extractfile(member))
    mend_manifest(bucket, "v1", path, without.getvalue())
    assert check_release(bucket, "v1").problems == [f"{path}: sample i0: has json, txt instead of jpg, json, txt"]


def test_only_the_deep_check_sees_a_picture_that_does_not_decode(bucket: Bucket, files: Files) -> None:
    path = "tars/00001.tar"
    broken = [Sample(s.key, b"no picture", s.txt, s.json) for s in samples_of(files[path])]
    mend_manifest(bucket, "v1", path, write_tar(broken))
    assert check_release(bucket, "v1").is_good
    problems = check_release(bucket, "v1", is_deep=True).problems
    assert [p.partition(": the picture does not decode")[0] for p in problems] == [
        f"{path}: sample i3", f"{path}: sample i4",
    ]  # fmt: skip


def test_of_several_scales_no_pair_stands_in_two(bucket: Bucket) -> None:
    publish(bucket, "v2", [pair("i1"), pair("i3")], more=[pair("i0"), pair("i2")])
    assert check_release(bucket, "v2").problems == []
    publish(bucket, "v3", [pair("i1"), pair("i3")], more=[pair("i0"), pair("i1")])
    assert check_release(bucket, "v3").problems == ["pairs/: i1 stands in two scales"]


def test_a_shard_without_its_twin_is_named(bucket: Bucket, files: Files) -> None:
    key = "releases/v1/manifest.json"
    whole = json.loads(bucket.get(key))
    for path, says in (
        ("tars/00001.tar", "pairs/00001.parquet: there is no tar of these pairs"),
        ("pairs/00000.parquet", "tars/00000.tar: there are no rows of this tar"),
    ):
        left = [file for file in whole["files"] if file["path"] != path]
        bucket.put(key, json.dumps(whole | {"files": left}).encode())
        problems = check_release(bucket, "v1").problems
        assert says in problems
        assert f"{path}: is not in the manifest" in problems
