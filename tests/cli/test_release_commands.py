"""`realsyn release`: what its commands say, and what taking a release back leaves in the bucket and on this machine."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from realsyn_ops.cli.demo import latest_report
from realsyn_ops.cli.releases import diff_releases, list_releases, revoke_release, show_release, verify_release
from realsyn_ops.errors import PermanentError
from realsyn_ops.io.releases import REVOKED, download_release
from realsyn_ops.io.storage import Bucket
from realsyn_ops.report.render_html import render_html
from realsyn_ops.report.render_text import render_text
from tests.io.small_release import pair, publish
from tests.report.report_example import example_gallery, example_report

REPORT, GALLERY = example_report(), example_gallery()

HOSTILE = "see \x1b[31m<b>below</b>"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), soft_wrap=True)


def said(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def published(bucket: Bucket) -> Bucket:
    publish(bucket, "v1", [pair(key) for key in ("i1", "i2", "i3")])
    publish(bucket, "v2", [pair("i1"), pair("i4"), pair("i3", caption="other")], previous="v1")
    return bucket


def test_without_releases_the_list_is_empty(
    bucket: Bucket, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    list_releases(bucket, console, as_json=False)
    assert said(console) == "no release is published yet\n"
    list_releases(bucket, console, as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_the_list_shows_every_version_and_its_status(
    published: Bucket, console: Console, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    revoke_release(published, "v1", HOSTILE, tmp_path, console)
    list_releases(published, console, as_json=False)
    first, second = said(console).splitlines()[-2:]
    assert (first.split()[0], first.split()[2], second.split()[0], second.split()[-1]) == ("v1", "3", "v2", "published")
    assert "REVOKED 20" in first
    assert "\x1b" not in first
    list_releases(published, console, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [(r["version"], r["n_pairs"], r["previous"]) for r in rows] == [("v1", 3, None), ("v2", 3, "v1")]
    assert rows[0]["revoked"]["reason"] == HOSTILE


def test_a_version_is_shown_with_its_facts_and_files(
    published: Bucket, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    show_release(published, "v2", console, as_json=False)
    for words in ("status    published", "previous  v1", "pairs/00001.parquet", "tars/00000.tar", "cap", "rewriter"):
        assert words in said(console)
    show_release(published, "v2", console, as_json=True)
    assert json.loads(capsys.readouterr().out)["manifest"] == json.loads(published.get("releases/v2/manifest.json"))


def test_a_diff_counts_and_names_the_pairs(
    published: Bucket, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    diff_releases(published, "v1", "v2", console, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["same"], found["counts"]) == (
        2, {"added": {"unknown": 1}, "removed": {"not_in_corpus": 1}, "changed": {}},
    )  # fmt: skip
    assert [(c["key"], c["change"]) for c in found["changes"]] == [("i2", "removed"), ("i4", "added")]
    diff_releases(published, "v1", "v2", console, as_json=False)
    assert "removed  i2     not_in_corpus" in said(console)


def test_verifying_says_whether_and_what(
    published: Bucket, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_release(published, "v1", console, is_deep=True, as_json=False)
    assert "release v1 is whole: 5 files of" in said(console)
    assert "3 pictures decoded" in said(console)
    published.delete("releases/v1/tars/00001.tar")
    assert not verify_release(published, "v1", console, is_deep=False, as_json=False)
    assert "tars/00001.tar: is missing" in said(console)
    assert not verify_release(published, "v1", console, is_deep=False, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["is_good"], len(found["problems"])) == (False, 2)


@pytest.mark.parametrize("call", [show_release, diff_releases, verify_release], ids=lambda call: call.__name__)
def test_a_version_that_is_not_there_is_named_with_those_that_are(
    published: Bucket, console: Console, call: object
) -> None:
    versions = ("v9", "v1") if call is diff_releases else ("v9",)
    more = {"is_deep": False} if call is verify_release else {}
    with pytest.raises(PermanentError, match="release 'v9' is not published; there are: v1, v2"):
        call(published, *versions, console, as_json=False, **more)  # type: ignore[operator]


def test_taking_a_release_back_marks_its_copy_and_report_on_this_machine(
    published: Bucket, console: Console, tmp_path: Path
) -> None:
    download_release(published, "v1", tmp_path / "releases")
    folder = tmp_path / "reports" / "v1"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(REPORT))
    (folder / "gallery.json").write_text(json.dumps(GALLERY))
    (folder / "report.html").write_text(render_html(REPORT, GALLERY))
    (tmp_path / "reports" / "latest").write_text("v1")
    assert "revoked" not in latest_report(tmp_path)[0]
    revoke_release(published, "v1", HOSTILE, tmp_path, console)
    marker = json.loads(published.get(f"releases/v1/{REVOKED}"))
    assert json.loads((tmp_path / "releases" / "v1" / REVOKED).read_text()) == marker
    figures, gallery = latest_report(tmp_path)
    assert figures["revoked"] == marker
    render_text(figures, console=console)
    assert f"REVOKED, do not use it: {marker['revoked']} see  [31m<b>below</b>" in said(console)
    page = (folder / "report.html").read_text()
    assert page == render_html(figures, gallery)
    assert "This release is revoked: do not use it." in page
    assert "&lt;b&gt;below&lt;/b&gt;" in page
    assert "<b>below</b>" not in page
