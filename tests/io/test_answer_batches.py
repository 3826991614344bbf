"""Answers in a real bucket: kept as they arrive, taken into the table once, carried to another bucket."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.answers import (
    ARRIVED,
    UNJUDGED,
    Batch,
    answer_key,
    export_answers,
    import_answers,
    known_answers,
    take_in,
    take_in_arrived,
)
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.schemas import ANSWERS
from realsyn_ops.io.storage import Bucket
from tests.io.killed_writer import run_killed

DAY, NEXT = "2025-02-18", "2025-02-19"


def row(text: str, day: str = DAY, **further: Any) -> dict[str, Any]:
    return {
        "key": answer_key(text), "day": day, "model": "m", "prompt": "merge-v2", "n_try": 1, "answer": f"About {text}.",
        "finish": "stop", "n_prompt_tokens": 9, "n_answer_tokens": 3, **further,
    }  # fmt: skip


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ANSWERS)


def texts(bucket: Bucket, *keys: str) -> list[str]:
    known = known_answers(bucket, [answer_key(key) for key in keys])
    return [known[answer_key(key)]["answer"] for key in keys if answer_key(key) in known]


def test_what_arrived_is_there_for_whoever_asks_about_the_same_images(bucket: Bucket) -> None:
    batch = Batch(bucket, DAY, "b1")
    batch.keep([row("one")])
    batch.keep([row("two"), row("three")])
    batch.keep([row("one")])
    assert Batch(bucket, DAY, "b1").arrived() == {r["key"]: r for r in map(row, ("one", "two", "three"))}
    assert Batch(bucket, DAY, "b2").arrived() == {}
    batch.compact()
    assert len(list(bucket.list(ARRIVED))) == 1
    assert len(batch.arrived()) == 3


def test_a_killed_compaction_loses_nothing(bucket: Bucket) -> None:
    Batch(bucket, DAY, "b1").keep([row("one")])
    Batch(bucket, DAY, "b1").keep([row("two")])
    before = Batch(bucket, DAY, "b1").arrived()
    run_killed(
        bucket, at=".json", work=f"from realsyn_ops.io.answers import Batch\nBatch(bucket, {DAY!r}, 'b1').compact()"
    )
    assert Batch(bucket, DAY, "b1").arrived() == before


def test_rows_join_their_days_and_a_known_one_stays_as_it_was(bucket: Bucket) -> None:
    assert take_in(bucket, table(row("one"), row("two"), row("two", answer="Twice."))) == [DAY]
    assert take_in(bucket, table(row("two", answer="Other."), row("three", NEXT))) == [NEXT]
    assert texts(bucket, "one", "two", "three", "four") == ["About one.", "About two.", "About three."]
    assert take_in(bucket, table(row("one"))) == []
    corpus = Corpus(bucket)
    version = corpus.version("answers")
    assert take_in(bucket, table()) == []
    assert corpus.version("answers") == version


def test_thousands_of_keys_are_looked_up(bucket: Bucket) -> None:
    take_in(bucket, table(*(row(str(i)) for i in range(2_500))))
    assert len(texts(bucket, *map(str, range(2_600)))) == 2_500


def test_what_no_run_has_judged_is_taken_in_as_that(bucket: Bucket) -> None:
    Batch(bucket, DAY, "b1").keep([row("one", n_bytes=7), row("two", n_bytes=7)])
    take_in(bucket, table(row("one", reason="cut")))
    take_in_arrived(bucket)
    rows = Corpus(bucket).read("answers", ["answer", "reason"]).to_pylist()
    assert sorted((r["answer"], r["reason"]) for r in rows) == [("About one.", "cut"), ("About two.", UNJUDGED)]
    assert list(bucket.list(ARRIVED)) == []


def test_answers_go_to_another_bucket_in_a_file(bucket: Bucket, store: Any, tmp_path: Path) -> None:
    other = Bucket(f"{bucket.name}-b", bucket.endpoint_url, bucket.access_key, bucket.secret_key)
    other.create()
    take_in(bucket, table(row("one"), row("two", NEXT)))
    take_in(other, table(row("three")))
    assert export_answers(bucket, tmp_path / "answers.parquet") == 2
    assert import_answers(other, tmp_path / "answers.parquet") == (2, [DAY, NEXT])
    assert import_answers(other, tmp_path / "answers.parquet") == (2, [])
    assert len(texts(other, "one", "two", "three")) == 3
    assert export_answers(other, tmp_path / "again.parquet") == 3


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("columns", pa.table({"key": ["p" + "0" * 32]}), "not those of answers"),
        ("keys", table(row("one", key="i" + "0" * 32)), "keys that no answer has"),
        ("bytes", None, "cannot be read as parquet"),
    ],
)
def test_another_file_is_refused(bucket: Bucket, tmp_path: Path, name: str, data: pa.Table | None, words: str) -> None:
    path = tmp_path / name
    if data is None:
        path.write_bytes(b"PAR1 and nothing more")
    else:
        pq.write_table(data, path)
    with pytest.raises(PermanentError, match=words):
        import_answers(bucket, path)
    assert not Corpus(bucket).exists("answers")
