"""Answers that were paid for, by the hash of their payload: the table `answers`, and those that are not in it yet.

An answer that arrives is an object of the bucket before anything else is done with it: ``answered/DAY/BATCH/``, where
the batch is the images that were asked about and no plan, so that a run which died is taken up by the next one whatever
its params are. Before a run is judged, all that has arrived becomes rows of the table.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.schemas import ANSWERS
from realsyn_ops.io.storage import Bucket

Row = dict[str, Any]
ARRIVED = "answered/"
UNJUDGED = "unjudged"
"""The reason of answers whose run never came to judge them."""
_LISTED = 1_000
_FILE_ROWS = 65_536


def answer_key(payload: str) -> str:
    return "p" + hashlib.sha256(payload.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Batch:
    """The answers about some images of a day."""

    bucket: Bucket
    day: str
    name: str

    @property
    def prefix(self) -> str:
        return f"{ARRIVED}{self.day}/{self.name}/"

    def keep(self, rows: list[Row]) -> None:
        """Make these answers last: one object, named by what is in it."""
        data = json.dumps(rows, sort_keys=True, ensure_ascii=False).encode()
        self.bucket.put(f"{self.prefix}{hashlib.sha256(data).hexdigest()[:16]}.json", data)

    def arrived(self) -> dict[str, Row]:
        """All that was kept and not taken in, by key."""
        return _arrived(self.bucket, self.prefix)[0]

    def compact(self) -> None:
        """One object in place of many."""
        rows, objects = _arrived(self.bucket, self.prefix)
        if len(objects) > 1:
            self.keep(list(rows.values()))
            _delete(self.bucket, objects)


def known_answers(bucket: Bucket, keys: Iterable[str]) -> dict[str, Row]:
    """Those of the answers that the table has."""
    corpus = Corpus(bucket)
    wanted = sorted(set(keys))
    if not wanted or not corpus.exists("answers"):
        return {}
    found: dict[str, Row] = {}
    for start in range(0, len(wanted), _LISTED):
        listed = ", ".join(f"'{key}'" for key in wanted[start : start + _LISTED])
        rows = corpus.read("answers", ANSWERS.names, where=f"key IN ({listed})").to_pylist()
        found |= {row["key"]: row for row in reversed(rows)}  # of a key on two days, the first
    return found


def take_in(bucket: Bucket, answers: pa.Table, *, message: str = "") -> list[str]:
    """Rows that the table has not yet are added to their days; returns the days that changed."""
    days = sorted(pc.unique(answers["day"]).to_pylist())
    corpus = Corpus(bucket)
    merged = {day: _merged(corpus, day, answers.filter(pc.equal(answers["day"], day))) for day in days}
    rows = {day: _rows(table) for day, table in merged.items()}
    return corpus.publish("answers", ANSWERS, rows, message=message)


def take_in_arrived(bucket: Bucket, *, message: str = "") -> None:
    """Take in what no shard has handed over: its run died, or came to other images. Then nothing is left to arrive."""
    rows, objects = _arrived(bucket, ARRIVED)
    table = pa.Table.from_pylist([{"reason": UNJUDGED, **row} for row in rows.values()], schema=ANSWERS)
    take_in(bucket, table, message=message)
    _delete(bucket, objects)


def export_answers(bucket: Bucket, path: Path) -> int:
    """Write the whole table as one parquet file, some rows at a time; returns their number."""
    n_rows = 0
    with pq.ParquetWriter(path, ANSWERS, compression="zstd") as writer:
        for table in Corpus(bucket).scan("answers", ANSWERS.names):
            writer.write_table(table)
            n_rows += table.num_rows
    return n_rows


def import_answers(bucket: Bucket, path: Path) -> tuple[int, list[str]]:
    """Take in a file that `export_answers` wrote; returns its number of rows, and the days that changed.

    Raises PermanentError for a file with other columns, or with a key that is none.
    """
    n_rows, changed = 0, set()
    for table in _read_file(path):
        n_rows += table.num_rows
        changed |= {*take_in(bucket, table, message=json.dumps({"imported": path.name}))}
    return n_rows, sorted(changed)


def _read_file(path: Path) -> Iterator[pa.Table]:
    try:
        file = pq.ParquetFile(path)
        if not file.schema_arrow.equals(ANSWERS):
            raise PermanentError(f"{path} has the columns {', '.join(file.schema_arrow.names)}, not those of answers")
        for batch in file.iter_batches(batch_size=_FILE_ROWS):
            table = pa.Table.from_batches([batch])
            if not pc.all(pc.match_substring_regex(table["key"], "^p[0-9a-f]{32}$")).as_py():
                raise PermanentError(f"{path} has keys that no answer has")
            yield table
    except (pa.ArrowInvalid, OSError) as error:
        raise PermanentError(f"{path} cannot be read as parquet: {error}") from error


def _arrived(bucket: Bucket, prefix: str) -> tuple[dict[str, Row], list[str]]:
    """Rows by key, and the objects they are in."""
    objects = [item.key for item in bucket.list(prefix)]
    rows = [row for key in objects for row in json.loads(bucket.get(key))]
    return {row["key"]: row for row in rows}, objects


def _delete(bucket: Bucket, objects: list[str]) -> None:
    for key in objects:
        bucket.delete(key)


def _merged(corpus: Corpus, day: str, new: pa.Table) -> pa.Table:
    """The day's rows with the new ones, each key once: the row that was there stays."""
    there = corpus.read("answers", ANSWERS.names, day=day) if corpus.exists("answers") else ANSWERS.empty_table()
    new = new.select(ANSWERS.names).cast(ANSWERS)
    new = new.filter(pc.invert(pc.is_in(new["key"], there["key"].combine_chunks()))).sort_by("key").combine_chunks()
    if new.num_rows:
        is_first = pc.not_equal(new["key"][1:], new["key"][:-1]).combine_chunks()
        new = new.filter(pa.concat_arrays([pa.array([True]), is_first]))
    return pa.concat_tables([there, new]).sort_by("key")


def _rows(table: pa.Table) -> Any:
    return lambda columns: [table.select(columns)]
