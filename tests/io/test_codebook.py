"""The codebook on a real object store: its version is its content, and one follows another by a swap."""

import io
import threading
from dataclasses import replace

import numpy as np
import pytest
from killed_writer import run_killed

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.codebook import (
    Codebook,
    current_version,
    publish_codebook,
    read_codebook,
    read_history,
    read_statistics,
)
from realsyn_ops.io.storage import Bucket

CODEBOOK = Codebook({"cat": 3, "straße": 1, "a": 7}, np.eye(3, 4, dtype=np.float32))
REFIT = replace(CODEBOOK, words={"dog": 1})
REPLACE = """
import numpy as np
from realsyn_ops.io.codebook import Codebook, current_version, publish_codebook

refit = Codebook({"dog": 1}, np.eye(3, 4, dtype=np.float32))
publish_codebook(bucket, refit, replaces=current_version(bucket), statistics={})
"""
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
    bucket.put(f"corpus/codebooks/sentences/{version}/centroids.npy", other.getvalue())
    with pytest.raises(CorruptShardError, match=version):
        read_codebook(bucket, version)


def test_an_unknown_version_is_named(bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match="codebooks/sentences/0123456789abcdef"):
        read_codebook(bucket, "0123456789abcdef")


@pytest.mark.parametrize("at", ["/words.parquet", "/centroids.npy", "codebooks/sentences.json"])
def test_a_killed_publisher_leaves_no_codebook_in_force(bucket: Bucket, at: str) -> None:
    run_killed(bucket, at=at, work=PUBLISH)
    assert current_version(bucket) == ""
    assert publish_codebook(bucket, CODEBOOK) == current_version(bucket)
    assert read_codebook(bucket, CODEBOOK.version).words == CODEBOOK.words


def test_a_refit_replaces_the_codebook_and_the_old_one_stays_readable(bucket: Bucket) -> None:
    first = publish_codebook(bucket, CODEBOOK, when="2026-01-01", why="the first day")
    second = publish_codebook(bucket, REFIT, replaces=first, when="2026-02-01", why="a third is far")
    assert current_version(bucket) == second == REFIT.version
    assert read_history(bucket) == [
        {"version": first, "replaced": "", "when": "2026-01-01", "why": "the first day"},
        {"version": second, "replaced": first, "when": "2026-02-01", "why": "a third is far"},
    ]
    assert read_codebook(bucket, first).words == CODEBOOK.words
    assert read_codebook(bucket, second).words == REFIT.words


def test_an_earlier_codebook_can_come_back(bucket: Bucket) -> None:
    first = publish_codebook(bucket, CODEBOOK)
    second = publish_codebook(bucket, REFIT, replaces=first)
    assert publish_codebook(bucket, CODEBOOK, replaces=second) == first == current_version(bucket)
    assert [entry["version"] for entry in read_history(bucket)] == [first, second, first]


def test_a_refit_of_what_is_not_in_force_does_not_come_into_force(bucket: Bucket) -> None:
    publish_codebook(bucket, CODEBOOK)
    with pytest.raises(PermanentError, match=f"{CODEBOOK.version} was put in force while {REFIT.version}"):
        publish_codebook(bucket, REFIT, replaces="0123456789abcdef")
    assert current_version(bucket) == CODEBOOK.version


def test_of_refits_at_once_one_wins(bucket: Bucket) -> None:
    first = publish_codebook(bucket, CODEBOOK)
    refits = [replace(CODEBOOK, words={"dog": n}) for n in range(1, 5)]
    barrier, refused = threading.Barrier(len(refits)), []

    def refit(codebook: Codebook) -> None:
        barrier.wait()
        try:
            publish_codebook(bucket, codebook, replaces=first)
        except PermanentError:
            refused.append(codebook.version)

    threads = [threading.Thread(target=refit, args=(codebook,)) for codebook in refits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted([current_version(bucket), *refused]) == sorted(codebook.version for codebook in refits)
    assert [entry["version"] for entry in read_history(bucket)] == [first, current_version(bucket)]
    assert all(read_codebook(bucket, codebook.version) for codebook in refits)


def test_a_refit_done_again_changes_nothing(bucket: Bucket) -> None:
    first = publish_codebook(bucket, CODEBOOK)
    publish_codebook(bucket, REFIT, replaces=first, statistics={"n_rows": 9}, when="today")
    before = {item.key: bucket.get(item.key) for item in bucket.list("")}
    publish_codebook(bucket, REFIT, replaces=first, statistics={"n_rows": 9}, when="tomorrow")
    assert {item.key: bucket.get(item.key) for item in bucket.list("")} == before


@pytest.mark.parametrize("at", ["/statistics.json", "/words.parquet", "/centroids.npy", "codebooks/sentences.json"])
def test_a_killed_refit_leaves_the_codebook_in_force(bucket: Bucket, at: str) -> None:
    first = publish_codebook(bucket, CODEBOOK)
    run_killed(bucket, at=at, work=REPLACE)
    assert current_version(bucket) == first
    assert publish_codebook(bucket, REFIT, replaces=first) == current_version(bucket)


def test_statistics_lie_beside_the_codebook_and_are_no_part_of_its_version(bucket: Bucket) -> None:
    statistics = {"n_rows": 420, "seed": 1, "sizes": [400, 20]}
    version = publish_codebook(bucket, CODEBOOK, statistics=statistics)
    assert version == CODEBOOK.version
    assert read_statistics(bucket, version) == statistics
    assert read_statistics(bucket, "0123456789abcdef") is None


def test_codebooks_of_images_and_of_sentences_do_not_touch(bucket: Bucket) -> None:
    publish_codebook(bucket, CODEBOOK)
    publish_codebook(bucket, REFIT, "images")
    assert (current_version(bucket), current_version(bucket, "images")) == (CODEBOOK.version, REFIT.version)
    assert read_codebook(bucket, REFIT.version, "images").words == REFIT.words
