"""The corpus: what the Dags publish, as Lance tables in which a day is replaced by one atomic commit.

Every fragment holds rows of one day, and a commit replaces the fragments of the days whose rows changed and nothing
else. Each table also holds one *guard* row (day and key empty), rewritten by every commit: two commits that start from
the same version both remove it, so the second one fails instead of doubling a day. Readers never see it.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realsyn_ops.errors import CommitConflictError, PermanentError
from realsyn_ops.io.storage import Bucket

Rows = Callable[[list[str]], Iterable[pa.Table]]
"""Gives a day's rows with the named columns, in order of key, as one or more tables; may be called more than once."""

_GUARD_DAY = ""
_DIGEST_ROWS = 65_536
_WRITE_ROWS = 1_024
_SCAN_ROWS = 4_096
_HEAVY_ROWS = 128
_CACHE_BYTES = 2**25


@dataclass(frozen=True)
class TableState:
    """One version of a table: its rows, and the files that hold them."""

    version: int
    n_rows: int
    n_bytes: int
    n_files: int
    schema: pa.Schema


@dataclass
class _Client:
    """A process's client of a bucket's tables, dearer to make than a table to open, and what it knows of the files."""

    session: lance.Session
    latest: lance.LanceDataset | None = None
    """Lance drops a client with the last table that was opened by it."""


@lru_cache(maxsize=8)
def _client_of(bucket: Bucket, process: int) -> _Client:
    """By process, since a fork cannot use its parent's client."""
    return _Client(lance.Session(index_cache_size_bytes=_CACHE_BYTES, metadata_cache_size_bytes=_CACHE_BYTES))


@dataclass(frozen=True)
class Corpus:
    """The published tables of a bucket."""

    bucket: Bucket

    def publish(self, name: str, schema: pa.Schema, days: Mapping[str, Rows], *, message: str = "") -> list[str]:
        """Make the given days of a table hold exactly the given rows, in one commit. Returns the days that changed.

        Days whose rows are the same already are left alone; when all are, nothing is committed. Image bytes are not
        compared: their key is their hash. Raises CommitConflictError when another writer was faster.
        """
        dataset = self._open(name) or self._create(name, schema)
        if not dataset.schema.equals(schema):
            raise PermanentError(f"table {name} has columns {dataset.schema.names} of other types than this release's")
        light = [field.name for field in schema if not pa.types.is_large_binary(field.type)]
        fragments = _fragments_by_day(dataset)
        changed = {
            day: rows
            for day, rows in sorted(days.items())
            if rows_digest(_of_day(rows(light), day), schema, light)
            != self._day_digest(dataset, fragments, day, schema, light)
        }
        if not changed:
            return []
        new = [
            fragment
            for day, rows in changed.items()
            if _has_rows(rows)
            for fragment in lance.fragment.write_fragments(
                _reader(rows(schema.names), schema),
                dataset,
                schema=schema,
                mode="append",
                storage_options=self.bucket.lance_options,
            )
        ]
        guard = lance.fragment.write_fragments(
            _guard(schema), dataset, schema=schema, mode="append", storage_options=self.bucket.lance_options
        )
        removed = [i for day in [*changed, _GUARD_DAY] for i in fragments.get(day, ())]
        operation = lance.LanceOperation.Update(
            removed_fragment_ids=removed, updated_fragments=[], new_fragments=[*new, *guard], fields_modified=[]
        )
        try:
            lance.LanceDataset.commit(
                dataset,
                operation,
                read_version=dataset.version,
                commit_message=message or None,
                max_retries=0,
                storage_options=self.bucket.lance_options,
            )
        except OSError as error:
            if "onflict" in str(error):
                raise CommitConflictError(f"table {name}: another writer committed first ({error})") from error
            raise
        return list(changed)

    def rewrite(
        self, name: str, edit: Callable[[pa.Table], pa.Table], *, needs: list[str], days: list[str], message: str = ""
    ) -> list[str]:
        """Put these days through ``edit``, which drops rows and changes values, some rows at a time, in one commit.

        ``edit`` may count on the columns it ``needs``, and on no others. Returns the days that changed.
        """
        dataset = self._there(name)

        def of_day(day: str) -> Rows:
            def rows(columns: list[str]) -> Iterator[pa.Table]:
                read = list(dict.fromkeys([*columns, *needs]))
                heavy = any(pa.types.is_large_binary(dataset.schema.field(column).type) for column in read)
                batches = dataset.to_batches(
                    columns=read, filter=_condition(day, None), batch_size=_HEAVY_ROWS if heavy else _SCAN_ROWS
                )
                for batch in batches:
                    yield edit(pa.Table.from_batches([batch])).select(columns)

            return rows

        return self.publish(name, dataset.schema, {day: of_day(day) for day in days}, message=message)

    def forget_versions(self, name: str, *, older_than: timedelta = timedelta(0), keep: Sequence[int] = ()) -> int:
        """Delete versions of before, but the latest and those to ``keep``, with the files that no other names; how many
        bytes went.

        Without an age every file that is in no version goes, too: only while nobody writes. With one those of the last
        seven days stay, since a writer may be about to name them.
        """
        dataset = self._there(name)
        for tag in dataset.tags.list():
            dataset.tags.delete(tag)  # of a run that was killed: nothing else sets one
        there = {version["version"] for version in dataset.versions()}
        tags = [f"kept-{version}" for version in keep if version in there]
        for tag in tags:
            dataset.tags.create(tag, int(tag.removeprefix("kept-")))
        try:
            found = dataset.cleanup_old_versions(
                older_than, delete_unverified=not older_than, error_if_tagged_old_versions=False
            )
        finally:
            for tag in tags:
                dataset.tags.delete(tag)
        return int(found.bytes_removed)

    def n_versions(self, name: str, *, older_than: timedelta, keep: Sequence[int] = ()) -> int:
        """How many versions `forget_versions` would delete."""
        older = [v for v in self._there(name).versions()[:-1] if v["version"] not in keep]
        return sum(datetime.now() - version["timestamp"] > older_than for version in older)

    def state(self, name: str) -> "TableState":
        """What the table is now."""
        dataset = self._there(name)
        sizes = [file.file_size_bytes or 0 for part in dataset.get_fragments() for file in part.data_files()]
        n_rows = dataset.count_rows("day != ''")
        return TableState(dataset.version, n_rows, sum(sizes), len(sizes), dataset.schema)

    def n_rows(self, name: str) -> int:
        dataset = self._open(name)
        return dataset.count_rows("day != ''") if dataset is not None else 0

    def tables(self) -> list[str]:
        """Names of the published tables."""
        keys = (item.key.split("/")[1] for item in self.bucket.list("corpus/"))
        return sorted({key.removesuffix(".lance") for key in keys if key.endswith(".lance")})

    def whole(self, name: str) -> tuple[Iterator[pa.Table], set[str]]:
        """All columns of all rows, some at a time, and the names of the files that hold them."""
        dataset = self._there(name)
        files = {file.path for fragment in dataset.get_fragments() for file in fragment.data_files()}
        heavy = any(pa.types.is_large_binary(field.type) for field in dataset.schema)
        batches = dataset.to_batches(batch_size=_HEAVY_ROWS if heavy else _SCAN_ROWS)
        return (pa.Table.from_batches([batch]) for batch in batches), files

    def read(
        self,
        name: str,
        columns: list[str],
        *,
        day: str | None = None,
        where: str | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Rows sorted by (key, day); an empty table of the right columns when the table or day is not there."""
        dataset = self._there(name, version)
        sort = [name for name in ("key", "day") if name not in columns]
        table = dataset.to_table(columns=[*columns, *sort], filter=_condition(day, where))
        return table.sort_by([("key", "ascending"), ("day", "ascending")]).select(columns)

    def scan(
        self,
        name: str,
        columns: list[str],
        *,
        day: str | None = None,
        where: str | None = None,
        limit: int | None = None,
    ) -> Iterator[pa.Table]:
        """Rows as they lie in the table, some thousand at a time and no more than ``limit``; none without a table."""
        dataset = self._open(name)
        if dataset is not None:
            condition = _condition(day, where)
            for batch in dataset.to_batches(columns=columns, filter=condition, limit=limit, batch_size=_SCAN_ROWS):
                yield pa.Table.from_batches([batch])

    def read_placed(self, name: str, columns: list[str], *, version: int) -> tuple[pa.Table, np.ndarray]:
        """All rows as they lie in a version of the table, and their places there, for `take`."""
        table = self._there(name, version).to_table(columns=list(dict.fromkeys([*columns, "day"])), scan_in_order=True)
        is_row = pc.not_equal(table["day"], _GUARD_DAY)
        return table.select(columns).filter(is_row), np.flatnonzero(is_row.to_numpy())

    def take(self, name: str, places: np.ndarray, columns: list[str], *, version: int) -> pa.Table:
        """The rows at these places of a version, in their order: what is not asked for is not read."""
        return self._there(name, version).take(places, columns=columns)

    def exists(self, name: str, *, version: int | None = None) -> bool:
        """Whether the table is published, and this version of it still there."""
        return self._open(name, version) is not None

    def version(self, name: str) -> int:
        """The table's latest version; 0 when it is not published."""
        dataset = self._open(name)
        return dataset.version if dataset is not None else 0

    def days(self, name: str) -> list[str]:
        """Days with rows in the table, in order."""
        dataset = self._open(name)
        return sorted(day for day in _fragments_by_day(dataset) if day) if dataset is not None else []

    def dim(self, name: str, column: str) -> int:
        """Length of a vector column."""
        return self._there(name).schema.field(column).type.list_size

    def digest(self, name: str) -> str:
        """Digest of all rows sorted by key, image bytes included: equal for equal tables however they came about."""
        dataset = self._open(name)
        if dataset is None:
            return ""
        table = dataset.to_table(filter="day != ''").sort_by([("key", "ascending"), ("day", "ascending")])
        order = [
            (c, "ascending") for c in ("key", "day", "document_key", "node", "position") if c in table.column_names
        ]
        return rows_digest([table.sort_by(order)], dataset.schema, dataset.schema.names)

    def _uri(self, name: str) -> str:
        return self.bucket.uri(f"corpus/{name}.lance")

    def _there(self, name: str, version: int | None = None) -> lance.LanceDataset:
        dataset = self._open(name, version)
        if dataset is None:
            raise PermanentError(f"table {name} is not published yet: run the Dag that makes it")
        return dataset

    def _open(self, name: str, version: int | None = None) -> lance.LanceDataset | None:
        client = _client_of(self.bucket, os.getpid())
        try:
            dataset = lance.dataset(
                self._uri(name), version=version, storage_options=self.bucket.lance_options, session=client.session
            )
        except ValueError as error:
            if "not found" in str(error):
                return None
            raise
        client.latest = dataset
        return dataset

    def _create(self, name: str, schema: pa.Schema) -> lance.LanceDataset:
        """The table's first version, without rows, or what another writer has made of it meanwhile.

        Read from version 0, which only an empty place has, and not tried again: `lance.write_dataset`, and Lance's own
        retries, would commit an emptied version of a table that came up meanwhile.
        """
        uri, options = self._uri(name), self.bucket.lance_options
        try:
            guard = lance.fragment.write_fragments(
                _guard(schema), uri, schema=schema, mode="create", storage_options=options
            )
            empty = lance.LanceOperation.Overwrite(schema, guard)
            return lance.LanceDataset.commit(uri, empty, read_version=0, max_retries=0, storage_options=options)
        except OSError:
            if (dataset := self._open(name)) is None:
                raise
            return dataset

    def _day_digest(
        self,
        dataset: lance.LanceDataset,
        fragments: Mapping[str, list[int]],
        day: str,
        schema: pa.Schema,
        columns: list[str],
    ) -> str:
        if day not in fragments:
            return rows_digest([], schema, columns)
        chosen = [dataset.get_fragment(i) for i in fragments[day]]
        return rows_digest((fragment.to_table(columns=columns) for fragment in chosen), schema, columns)


def _condition(day: str | None, where: str | None) -> str:
    conditions = ["day != ''"] if day is None else [f"day = '{day}'"]
    return " AND ".join([*conditions, f"({where})"] if where else conditions)


def rows_digest(tables: Iterable[pa.Table], schema: pa.Schema, columns: list[str]) -> str:
    """Digest of rows by value and order, however they are cut into tables."""
    schema = pa.schema([schema.field(name) for name in columns])
    digest = hashlib.sha256()
    for table in _recut(tables, schema, _DIGEST_ROWS):
        sink = io.BytesIO()
        pq.write_table(table.combine_chunks(), sink, compression="none", store_schema=False, use_dictionary=False)
        digest.update(sink.getvalue())
    return digest.hexdigest()


def _recut(tables: Iterable[pa.Table], schema: pa.Schema, n_rows: int) -> Iterator[pa.Table]:
    rest = schema.empty_table()
    for table in tables:
        rest = pa.concat_tables([rest, table.select(schema.names).cast(schema)])
        while rest.num_rows >= n_rows:
            yield rest.slice(0, n_rows)
            rest = rest.slice(n_rows)
    if rest.num_rows:
        yield rest


def _has_rows(rows: Rows) -> bool:
    return any(table.num_rows for table in rows(["day"]))


def _of_day(tables: Iterable[pa.Table], day: str) -> Iterator[pa.Table]:
    for table in tables:
        if others := [d for d in pc.unique(table["day"]).to_pylist() if d != day]:
            raise PermanentError(f"rows of {others} among those of {day}")
        yield table


def _reader(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.RecordBatchReader:
    batches = (
        batch
        for table in tables
        for batch in table.select(schema.names).cast(schema).to_batches(max_chunksize=_WRITE_ROWS)
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def _guard(schema: pa.Schema) -> pa.Table:
    values = {"key": "", "day": _GUARD_DAY}
    return pa.table([pa.array([values.get(field.name)], field.type) for field in schema], schema=schema)


def _fragments_by_day(dataset: lance.LanceDataset) -> dict[str, list[int]]:
    by_day: dict[str, list[int]] = {}
    for fragment in dataset.get_fragments():
        day = fragment.to_table(columns=["day"], limit=1)["day"][0].as_py()
        by_day.setdefault(day, []).append(fragment.fragment_id)
    return by_day
