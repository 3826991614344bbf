"""Evaluation sets as they lie in the bucket: found, checked and fetched."""

from pathlib import Path

import pytest

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.evaluation_sets import evaluation_sets, fetch_set
from realsyn_ops.io.storage import Bucket

CLASSES = {
    "test/nshards.txt": b"2",
    "test/0.tar": b"a",
    "test/1.tar": b"b",
    "classnames.txt": b"cat",
    "zeroshot_classification_templates.txt": b"a {c}",
}
LINES = {"test/nshards.txt": b"1", "test/0.tar": b"c", "dataset_type.txt": b"retrieval\n"}


def put(bucket: Bucket, name: str, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        bucket.put(f"evaluation/{name}/{path}", data)


def test_sets_are_known_by_their_files_and_fetched_whole(bucket: Bucket, tmp_path: Path) -> None:
    put(bucket, "cats", CLASSES)
    put(bucket, "captions", LINES)
    captions, cats = evaluation_sets(bucket, "evaluation")
    assert [(one.name, one.kind) for one in (captions, cats)] == [("captions", "retrieval"), ("cats", "classification")]
    folder = fetch_set(bucket, cats, tmp_path)
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == CLASSES
    put(bucket, "cats", {"test/1.tar": b"changed"})
    assert evaluation_sets(bucket, "evaluation/")[1].files != cats.files


@pytest.mark.parametrize("path", sorted(CLASSES))
def test_a_set_that_is_not_whole_is_refused_with_what_it_lacks(bucket: Bucket, path: str) -> None:
    put(bucket, "cats", {name: data for name, data in CLASSES.items() if name != path})
    with pytest.raises(PermanentError, match=path):
        evaluation_sets(bucket, "evaluation/")


def test_no_set_and_a_kind_that_nobody_knows_are_refused(bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match="clip_benchmark_export_wds"):
        evaluation_sets(bucket, "evaluation/")
    put(bucket, "odd", LINES | {"dataset_type.txt": b"multilabel"})
    with pytest.raises(PermanentError, match="'multilabel'"):
        evaluation_sets(bucket, "evaluation/")
