"""The codebook on a real object store: its version is its content, and only the first one comes into force."""

import io
from dataclasses import replace

import numpy as np
import pytest
from killed_writer import run_killed

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.codebook import Codebook, current_version, publish_codebook, read_codebook
from realsyn_ops.io.storage import Bucket

CODEBOOK = Codebook({"cat": 3, "straße": 1, "a": 7}, np.eye(3, 4, dtype=np.float32))
PUBLISH = """
import numpy as np
from realsyn_ops.io.codebook import Codebook, publish_codebook

publish_codebook(bucket, Codebook({"cat": 3, "straße": 1, "a": 7}, np.eye(3, 4, dtype=np.float32)))
"""


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (Codebook({"a": 7, "straße": 1, "cat": 3}, CODEBOOK.centroids), True),
        (replace(CODEBOOK, centroids=np.asfortranarray(CODEBOOK.centroids.astype(np.float64))), True),
        (Codebook({"a": 7, "straße": 1, "cat": 4}, CODEBOOK.centroids), False),
        (replace(CODEBOOK, centroids=CODEBOOK.centroids[::-1]), False),
        (replace(CODEBOOK, centroids=CODEBOOK.centroids + 1e-6), False),
    ],
    ids=["words in another order", "centroids in another layout", "other counts", "other order", "other centroids"],
)
def test_the_version_is_the_content(other: Codebook, is_same: bool) -> None:
    assert (other.version == CODEBOOK.version) is is_same


def test_a_codebook_comes_back_as_it_was(bucket: Bucket) -> None:
    assert current_version(bucket) == ""
    version = publish_codebook(bucket, CODEBOOK)
    assert version == CODEBOOK.version == current_version(bucket)
    read = read_codebook(bucket, version)
    assert read.words == CODEBOOK.words
    assert read.centroids.dtype == np.float32
    assert read.centroids.tolist() == CODEBOOK.centroids.tolist()


def test_publishing_it_again_changes_nothing(bucket: Bucket) -> None:
    publish_codebook(bucket, CODEBOOK)
    before = {item.key: bucket.get(item.key) for item in bucket.list("")}
    publish_codebook(bucket, CODEBOOK)
    assert {item.key: bucket.get(item.key) for item in bucket.list("")} == before


def test_a_second_codebook_does_not_come_into_force(bucket: Bucket) -> None:
    publish_codebook(bucket, CODEBOOK)
    late = replace(CODEBOOK, words={"dog": 1})
    with pytest.raises(PermanentError, match=f"{CODEBOOK.version} was put in force while {late.version}"):
        publish_codebook(bucket, late)
    assert current_version(bucket) == CODEBOOK.version
    assert read_codebook(bucket, CODEBOOK.version).words == CODEBOOK.words


def test_changed_files_are_noticed(bucket: Bucket) -> None:
    version = publish_codebook(bucket, CODEBOOK)
    other = io.BytesIO()
    np.save(other, CODEBOOK.centroids * 0.5)
    bucket.put(f"corpus/codebooks/{version}/centroids.npy", other.getvalue())
    with pytest.raises(CorruptShardError, match=version):
        read_codebook(bucket, version)


def test_an_unknown_version_is_named(bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match="codebooks/0123456789abcdef"):
        read_codebook(bucket, "0123456789abcdef")


@pytest.mark.parametrize("at", ["/words.parquet", "/centroids.npy", "corpus/codebook.json"])
def test_a_killed_publisher_leaves_no_codebook_in_force(bucket: Bucket, at: str) -> None:
    run_killed(bucket, at=at, work=PUBLISH)
    assert current_version(bucket) == ""
    assert publish_codebook(bucket, CODEBOOK) == current_version(bucket)
    assert read_codebook(bucket, CODEBOOK.version).words == CODEBOOK.words
