"""Corpus tables on a real object store: a day is replaced whole, by one writer, and nothing is published twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import compress
from threading import Barrier

import lance
import pyarrow as pa
import pytest

from realsyn_ops.errors import CommitConflictError, PermanentError
from realsyn_ops.io import corpus as corpus_module
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("day", pa.string(), nullable=False),
        ("data", pa.large_binary()),
        ("vector", pa.list_(pa.float16(), 4)),
    ]
)


def rows(day: str, *keys: str, value: float = 1.0) -> Callable[[list[str]], list[pa.Table]]:
    table = pa.table(
        {
            "key": keys,
            "day": [day] * len(keys),
            "data": [k.encode() * 3 for k in keys],
            "vector": [[value] * 4 for _ in keys],
        },
        schema=SCHEMA,
    )
    return lambda columns: [table.select(columns)]


def keys(corpus: Corpus, **where: str) -> list[str]:
    return corpus.read("t", ["key"], **where)["key"].to_pylist()


def test_a_day_is_replaced_and_other_days_stay(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    assert corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", "a", "b")}) == ["2025-01-01"]
    assert corpus.publish("t", SCHEMA, {"2025-01-02": rows("2025-01-02", "c")}) == ["2025-01-02"]
    assert corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", "b", "d")}) == ["2025-01-01"]
    assert keys(corpus) == ["b", "c", "d"]
    assert keys(corpus, day="2025-01-01") == ["b", "d"]
    assert corpus.days("t") == ["2025-01-01", "2025-01-02"]


def test_the_same_rows_again_make_no_new_version(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", "a", "b")})
    version = corpus.version("t")
    one_by_one = rows("2025-01-01", "a", "b")
    cut = lambda columns: [t.slice(i, 1) for t in one_by_one(columns) for i in range(t.num_rows)]  # noqa: E731
    assert corpus.publish("t", SCHEMA, {"2025-01-01": cut}) == []
    assert corpus.version("t") == version
    assert corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", "a", "b", value=0.5)}) == ["2025-01-01"]
    assert corpus.version("t") == version + 1


def test_what_another_process_commits_is_seen_at_once(bucket: Bucket) -> None:
    corpus, other = Corpus(bucket), Corpus(replace(bucket, patience_s=1))
    for day, expected in (("2025-01-01", ["a"]), ("2025-01-02", ["a", "b"]), ("2025-01-03", ["a", "b", "c"])):
        other.publish("t", SCHEMA, {day: rows(day, expected[-1])})
        assert keys(corpus) == expected
    other.forget_versions("t")
    assert not corpus.exists("t", version=2)
    assert keys(corpus) == ["a", "b", "c"]


def test_a_table_made_again_under_its_name_is_read_anew(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    for key in ("a", "b"):
        corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", key)})
        assert (corpus.version("t"), keys(corpus), corpus.n_rows("t")) == (2, [key], 1)
        for item in list(bucket.list("corpus/")):
            bucket.delete(item.key)
        assert not corpus.exists("t")


def test_a_day_can_become_empty(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    assert corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01")}) == []
    corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", "a")})
    assert corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01")}) == ["2025-01-01"]
    assert keys(corpus) == []
    assert corpus.days("t") == []


def test_the_digest_does_not_depend_on_the_order_of_days(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    for name, order in (("one", (1, 2)), ("other", (2, 1))):
        for day in order:
            corpus.publish(name, SCHEMA, {f"2025-01-0{day}": rows(f"2025-01-0{day}", "a", f"k{day}")})
    assert corpus.digest("one") == corpus.digest("other")
    corpus.publish("other", SCHEMA, {"2025-01-01": rows("2025-01-01", "a")})
    assert corpus.digest("one") != corpus.digest("other")


def test_of_two_writers_of_a_new_day_one_fails(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(bucket)
    corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", "a")})
    commit = lance.LanceDataset.commit

    def overtaken(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(corpus_module.lance.LanceDataset, "commit", commit)
        corpus.publish("t", SCHEMA, {"2025-01-02": rows("2025-01-02", "x")})
        return commit(*args, **kwargs)

    monkeypatch.setattr(corpus_module.lance.LanceDataset, "commit", overtaken)
    with pytest.raises(CommitConflictError):
        corpus.publish("t", SCHEMA, {"2025-01-02": rows("2025-01-02", "x", "y")})
    assert keys(corpus) == ["a", "x"]


def test_a_table_that_another_writer_makes_meanwhile_is_taken_as_it_is(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(bucket)
    commit = lance.LanceDataset.commit

    def overtaken(*args: object, **kwargs: object) -> lance.LanceDataset:
        monkeypatch.setattr(corpus_module.lance.LanceDataset, "commit", commit)
        corpus.publish("t", SCHEMA, {"2025-01-01": rows("2025-01-01", "a")})
        return commit(*args, **kwargs)

    monkeypatch.setattr(corpus_module.lance.LanceDataset, "commit", overtaken)
    corpus.publish("t", SCHEMA, {"2025-01-02": rows("2025-01-02", "b")})
    assert keys(corpus) == ["a", "b"]


def test_of_writers_of_a_new_table_none_loses_a_day_unseen(bucket: Bucket) -> None:
    """Each publishes its day or is told; `lance.write_dataset` put its emptied version over one of ten such tables."""
    days = [f"2025-01-0{number}" for number in range(1, 5)]
    together = Barrier(len(days))

    def published(day: str, name: str) -> bool:
        together.wait()
        try:
            return Corpus(bucket).publish(name, SCHEMA, {day: rows(day, day)}) == [day]
        except CommitConflictError as error:
            assert "another writer committed first" in str(error)
            return False

    for number in range(20):
        with ThreadPoolExecutor(len(days)) as pool:
            done = list(pool.map(partial(published, name=f"t{number}"), days))
        assert any(done)
        assert Corpus(bucket).days(f"t{number}") == list(compress(days, done))


def test_rows_of_another_day_are_refused(bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match="2025-01-02"):
        Corpus(bucket).publish("t", SCHEMA, {"2025-01-01": rows("2025-01-02", "a")})


def test_an_unpublished_table_is_named(bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match="table pairs is not published yet"):
        Corpus(bucket).read("pairs", ["key"])
