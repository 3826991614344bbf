"""Releases on a real object store: there once the manifest is, never changed, and checked when downloaded."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from killed_writer import run_killed

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.releases import (
    REVOKED,
    download_release,
    is_published,
    newest,
    publish_release,
    read_manifest,
    read_release,
    releases,
    revocation,
    revoke,
    versions,
)
from realsyn_ops.io.storage import Bucket

STAGED = "staging/release_dataset/x/y"
DATA = {"data/00000.parquet": b"rows", "data/00000.tar": b"pictures" * 100}
FILES: list[dict[str, Any]] = [
    {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in DATA.items()
]
TEXTS = {"README.md": b"# A release", "croissant.json": b"{}"}
FACTS = {"version": "v1", "n_pairs": 3}
PUBLISH = """
from realsyn_ops.io.releases import publish_release

arguments = json.loads(sys.argv[3])
texts = {name: text.encode() for name, text in arguments.pop("texts").items()}
publish_release(bucket, texts=texts, **arguments)
"""


@pytest.fixture
def staged(bucket: Bucket) -> Bucket:
    """A bucket with a release's files staged."""
    for path, data in DATA.items():
        bucket.put(f"{STAGED}/{path}", data)
    return bucket


def publish(bucket: Bucket, version: str = "v1", **changes: object) -> None:
    arguments: dict[str, Any] = {"files": FILES, "texts": TEXTS, "facts": FACTS, **changes}
    publish_release(bucket, version, STAGED, **arguments)


def contents(bucket: Bucket) -> dict[str, bytes]:
    return {item.key: bucket.get(item.key) for item in bucket.list("releases/")}


def test_a_release_is_its_files_its_texts_and_a_manifest(staged: Bucket) -> None:
    assert not is_published(staged, "v1")
    publish(staged)
    assert is_published(staged, "v1")
    manifest = read_manifest(staged, "v1")
    assert {name: manifest[name] for name in FACTS} == FACTS
    listed = {file["path"]: (file["bytes"], file["sha256"]) for file in manifest["files"]}
    published = contents(staged)
    assert {key.removeprefix("releases/v1/") for key in published} == {*listed, "manifest.json"} == {
        *DATA, *TEXTS, "manifest.json",
    }  # fmt: skip
    for path, (n_bytes, sha256) in listed.items():
        data = published[f"releases/v1/{path}"]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (n_bytes, sha256)


def test_the_same_release_again_is_nothing_new(staged: Bucket) -> None:
    publish(staged)
    before = contents(staged)
    publish(staged)
    assert contents(staged) == before


@pytest.mark.parametrize(
    "changes",
    [{"facts": {**FACTS, "n_pairs": 4}}, {"files": FILES[:1]}, {"texts": {**TEXTS, "README.md": b"# Another"}}],
    ids=["facts", "files", "texts"],
)
def test_a_published_version_never_changes(staged: Bucket, changes: dict[str, object]) -> None:
    publish(staged)
    before = contents(staged)
    with pytest.raises(PermanentError, match="releases/v1 is published with other contents"):
        publish(staged, **changes)
    assert contents(staged) == before


def test_versions_are_listed_by_name_and_the_newest_by_time(staged: Bucket) -> None:
    assert (versions(staged), newest(staged)) == ([], "")
    publish(staged, "v2")
    staged.put("releases/v9/README.md", b"unfinished")
    staged.put("releases/v3/data/manifest.json", b"no manifest of a release")
    assert (versions(staged), newest(staged)) == (["v2"], "v2")
    while newest(staged) != "v1":
        staged.delete("releases/v1/manifest.json")
        publish(staged, "v1")
    assert versions(staged) == ["v1", "v2"]


def test_an_unpublished_version_is_named(bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match="releases/v7/manifest"):
        read_manifest(bucket, "v7")


@pytest.mark.parametrize("at", ["v1/README.md", "v1/croissant.json", "v1/manifest.json"])
def test_a_killed_publisher_leaves_no_release_and_the_rerun_the_same_one(staged: Bucket, at: str) -> None:
    arguments = {
        "version": "v1", "staged": STAGED, "files": FILES, "facts": FACTS,
        "texts": {name: text.decode() for name, text in TEXTS.items()},
    }  # fmt: skip
    run_killed(staged, at=at, work=PUBLISH.replace("sys.argv[3]", repr(json.dumps(arguments))))
    left = contents(staged)
    assert len(left) >= len(DATA)
    assert (is_published(staged, "v1"), versions(staged), newest(staged)) == (False, [], "")
    publish(staged)
    whole = contents(staged)
    assert {key: whole[key] for key in left} == left
    publish(staged, "v2")
    assert {key.replace("/v2/", "/v1/"): data for key, data in contents(staged).items() if "/v2/" in key} == whole


def test_a_download_is_the_release_and_its_manifest(staged: Bucket, tmp_path: Path) -> None:
    publish(staged)
    path = download_release(staged, "v1", tmp_path)
    assert path == tmp_path / "v1"
    found = {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert found == {key.removeprefix("releases/v1/"): data for key, data in contents(staged).items()}
    assert [p.name for p in tmp_path.iterdir()] == ["v1"]


def test_a_download_replaces_what_an_earlier_one_left(staged: Bucket, tmp_path: Path) -> None:
    publish(staged)
    for folder in ("v1", ".v1.partial"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "stale").write_text("old")
    path = download_release(staged, "v1", tmp_path)
    assert not (path / "stale").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["v1"]


@pytest.mark.parametrize("path", [*DATA, *TEXTS])
def test_a_download_of_changed_bytes_fails_and_shows_nothing(staged: Bucket, tmp_path: Path, path: str) -> None:
    publish(staged)
    staged.put(f"releases/v1/{path}", b"changed")
    with pytest.raises(CorruptShardError, match=path):
        download_release(staged, "v1", tmp_path)
    assert not (tmp_path / "v1").exists()


def test_a_revoked_release_says_so_and_nothing_else_of_it_changes(staged: Bucket, tmp_path: Path) -> None:
    facts = {**FACTS, "selection": {"n_selected": 3}}
    publish(staged, facts=facts)
    publish(staged, "v2", facts=facts)
    before = contents(staged)
    assert [r.revoked for r in releases(staged)] == [None, None]
    marker = revoke(staged, "v1", "  A picture had to go.\n")
    assert (marker["release"], marker["reason"]) == ("v1", "A picture had to go.")
    assert "do not use it" in marker["status"]
    assert revocation(staged, "v1") == marker
    after = contents(staged)
    assert {key: after[key] for key in before} == before
    assert set(after) - set(before) == {f"releases/v1/{REVOKED}"}
    assert {r.version: r.revoked for r in releases(staged)} == {"v1": marker, "v2": None}
    assert (is_published(staged, "v1"), versions(staged), newest(staged)) == (True, ["v1", "v2"], "v2")
    assert json.loads((download_release(staged, "v1", tmp_path) / REVOKED).read_text()) == marker
    assert not (download_release(staged, "v2", tmp_path) / REVOKED).exists()
    publish(staged, facts=facts)
    assert contents(staged) == after


def test_a_release_is_revoked_once_for_a_reason_and_only_when_it_is_there(staged: Bucket) -> None:
    with pytest.raises(PermanentError, match=r"release 'v1' is not published; there are: none"):
        revoke(staged, "v1", "why")
    publish(staged)
    with pytest.raises(PermanentError, match="revoked for a reason"):
        revoke(staged, "v1", " ")
    assert revocation(staged, "v1") is None
    first = revoke(staged, "v1", "the first reason")
    with pytest.raises(PermanentError, match=r"release v1 was revoked at 20.*Z: the first reason"):
        revoke(staged, "v1", "another reason")
    assert revocation(staged, "v1") == first


def test_a_release_has_its_time_pairs_and_bytes(staged: Bucket) -> None:
    publish(staged, facts={**FACTS, "selection": {"n_selected": 3}})
    release = read_release(staged, "v1")
    assert (release.version, release.n_pairs) == ("v1", 3)
    assert release.n_bytes == sum(len(data) for data in (*DATA.values(), *TEXTS.values()))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", release.published)
