"""Two releases beside each other on a real object store: which pairs differ, why, and the changelog that says so."""

import json

import pyarrow as pa
import pytest

from realsyn_ops.io import release_changes, schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.release_changes import (
    CHANGED_KEYS,
    CHANGELOG,
    COMPARED,
    ROW,
    Change,
    changelog,
    changes_between,
    changes_since,
    compare,
)
from realsyn_ops.io.release_rows import Row, find_row, pair_files, rows_with_text, scan_rows, sorted_rows
from realsyn_ops.io.releases import read_manifest
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import ReleasePlan
from realsyn_ops.records import sentence_key
from tests.io.small_release import DAY, pair, publish
from tests.report.small_corpus import publish as publish_table

OTHER = ["Another text.", "Text 2 of i4.", "Text 3 of i4."]


def rows(*keys: str, **changes: str) -> list[Row]:
    return [(key, *(changes.get(name, f"{name} of {key}") for name in COMPARED)) for key in keys]


def selection(**reasons: str | None) -> pa.Table:
    return pa.table({"key": list(reasons), "reason": pa.array(list(reasons.values()), pa.string())})


def stage_selection(bucket: Bucket, version: str, **reasons: str | None) -> None:
    staging = Staging.create(bucket, "release_dataset", version, ReleasePlan(inputs="in", code="c0de"))
    staging.write("select", "all", {"selection": selection(**reasons)}, {})


def test_rows_are_found_without_reading_the_others(bucket: Bucket) -> None:
    publish(bucket, "v1", [pair(f"i{n}") for n in range(7)])
    assert pair_files(read_manifest(bucket, "v1")) == [["pairs/00000.parquet", "pairs/00001.parquet"]]
    assert [key for _, t in scan_rows(bucket, "v1", ["key"]) for key in t["key"].to_pylist()] == [
        f"i{n}" for n in range(7)
    ]
    for n in range(7):
        path, row = find_row(bucket, "v1", f"i{n}") or ("", {})
        assert (path, row["text2"]) == (f"pairs/0000{int(n > 3)}.parquet", f"Text 2 of i{n}.")
    assert [find_row(bucket, "v1", key) for key in ("a", "i35", "i9")] == [None] * 3
    assert rows_with_text(bucket, "v1", sentence_key("Text 3 of i5.")) == [
        {"key": "i5", "rank": 3, "file": "pairs/00001.parquet"}
    ]


def test_a_release_of_several_scales_is_read_as_one_in_order_of_key(bucket: Bucket) -> None:
    publish(bucket, "v1", [pair(f"i{n}") for n in (1, 3, 5, 7)], more=[pair(f"i{n}") for n in (0, 2, 4, 6)])
    assert [len(run) for run in pair_files(read_manifest(bucket, "v1"))] == [2, 2]
    assert [key for _, t in scan_rows(bucket, "v1", ["key"]) for key in t["key"].to_pylist()] == [
        f"i{n}" for n in (1, 3, 5, 7, 0, 2, 4, 6)
    ]
    assert [key for (key,) in sorted_rows(bucket, "v1", ["key"])] == [f"i{n}" for n in range(8)]
    found = {f"i{n}": find_row(bucket, "v1", f"i{n}") for n in range(8)}
    assert {key: row["key"] for key, (_, row) in found.items()} == {key: key for key in found}  # type: ignore[misc]
    assert found["i0"][0] == "pairs/00002.parquet"  # type: ignore[index]
    assert find_row(bucket, "v1", "i9") is None
    publish(bucket, "v2", [pair(f"i{n}") for n in range(1, 8)])
    assert changes_between(bucket, "v1", "v2").changes == [Change("i0", "removed", "not_in_corpus")]
    assert changes_between(bucket, "v1", "v2").n_same == 7


@pytest.mark.parametrize(
    ("old", "new", "changes", "n_same"),
    [
        ([], [], [], 0),
        (rows("a", "c"), rows("a", "c"), [], 2),
        ([], rows("a"), [("a", "added")], 0),
        (rows("a", "b"), [], [("a", "removed"), ("b", "removed")], 0),
        (rows("a", "c", "d"), rows("b", "c", "e"),
         [("a", "removed"), ("b", "added"), ("d", "removed"), ("e", "added")], 1),
        (rows("a", "b"), rows("a", "b", text2="x"), [("a", "changed"), ("b", "changed")], 0),
    ],
)  # fmt: skip
def test_two_runs_of_rows_are_compared_by_key(
    old: list[Row], new: list[Row], changes: list[tuple[str, str]], n_same: int
) -> None:
    found = compare("v1", old, "v2", new)
    assert ([(c.key, c.change) for c in found.changes], found.n_same) == (changes, n_same)


def test_a_changed_pair_names_its_columns() -> None:
    found = compare("v1", rows("a"), "v2", rows("a", text3="x", syn_text="y"))
    assert found.changes == [Change("a", "changed", "text3, syn_text")]


@pytest.fixture
def two(bucket: Bucket) -> Bucket:
    """Of i0 to i6 the second release has i4 with another text, i5, i6 and a new i7; tables know of i1, i2 and i3."""
    corpus = Corpus(bucket)
    group = {"day": DAY, "n_nodes": 1, "similarity": 0.95}
    publish_table(corpus, "curated_images", [
        {**group, "key": "i2", "survivor": "i9", "reason": "semantic_duplicate"},
        {**group, "key": "i1", "survivor": "i1", "reason": None},
    ])  # fmt: skip
    publish_table(corpus, "image_scores", [
        {"key": "i3", "day": DAY, "reason": "image_policy", "detail": "no-faces@2: 3 faces"},
        {"key": "i2", "day": DAY, "reason": None},
    ])  # fmt: skip
    publish(bucket, "v1", [pair(f"i{n}") for n in range(7)])
    publish(bucket, "v2", [pair("i4", texts=OTHER), *(pair(f"i{n}") for n in (5, 6, 7))], previous="v1")
    assert schemas.RELEASE.names[:5] == list(COMPARED)
    return bucket


def test_reasons_come_from_the_selection_then_the_tables(two: Bucket) -> None:
    stage_selection(two, "v1", i7="similarity_too_low", i0=None)
    stage_selection(two, "v2", i0="cluster_cap", i4=None)
    found = changes_between(two, "v1", "v2")
    assert found.n_same == 2
    assert found.changes == [
        Change("i0", "removed", "cluster_cap"),
        Change("i1", "removed", "unknown"),
        Change("i2", "removed", "semantic_duplicate", "survivor i9"),
        Change("i3", "removed", "image_policy"),
        Change("i4", "changed", "text1"),
        Change("i7", "added", "similarity_too_low"),
    ]
    back = {c.key: (c.change, c.why) for c in changes_between(two, "v2", "v1").changes}
    assert (back["i7"], back["i0"]) == (("removed", "similarity_too_low"), ("added", "cluster_cap"))


def test_without_selections_only_the_tables_tell(two: Bucket) -> None:
    found = {c.key: c.why for c in changes_between(two, "v1", "v2").changes}
    assert found == {
        "i0": "not_in_corpus", "i1": "unknown", "i2": "semantic_duplicate", "i3": "image_policy", "i4": "text1",
        "i7": "unknown",
    }  # fmt: skip


def test_the_changelog_tells_what_a_later_diff_cannot_find_any_more(two: Bucket) -> None:
    new = list(sorted_rows(two, "v2", ROW))
    stage_selection(two, "v1", i0=None)
    files = changelog(changes_since(two, "v1", "v3", new, selection(i0="cluster_cap")))
    assert files == changelog(changes_since(two, "v1", "v3", new, selection(i0="cluster_cap")))
    text = files[CHANGELOG].decode()
    assert text.startswith("# Changes of release v3 since release v1\n")
    assert "| removed | 4 |" in text
    assert "| cluster_cap | 1 |" in text
    head, *lines = map(json.loads, files[CHANGED_KEYS].decode().splitlines())
    assert head == {"release": "v3", "previous": "v1", "added": 1, "removed": 4, "changed": 1, "same": 2, "listed": 6}
    assert lines[0] == {"key": "i0", "change": "removed", "why": "cluster_cap", "detail": ""}
    assert lines[-1] == {"key": "i7", "change": "added", "why": "new", "detail": ""}
    publish(two, "v3", [pair("i4", texts=OTHER), *(pair(f"i{n}") for n in (5, 6, 7))], previous="v1", texts=files)
    for item in [*two.list("staging/"), *two.list("corpus/")]:
        two.delete(item.key)
    assert [c.why for c in changes_between(two, "v1", "v3").changes if c.key in {"i0", "i3"}] == [
        "cluster_cap", "image_policy",
    ]  # fmt: skip
    assert {c.why for c in changes_between(two, "v1", "v2").changes if c.change == "removed"} == {"not_in_corpus"}


def test_a_changelog_says_how_much_of_it_is_listed(two: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_changes, "MAX_LISTED", 2)
    files = changelog(changes_between(two, "v1", "v2"))
    assert "lists the first 2 in order of key" in files[CHANGELOG].decode()
    head, *lines = map(json.loads, files[CHANGED_KEYS].decode().splitlines())
    assert (head["removed"], head["listed"], len(lines)) == (4, 2, 2)
