"""Tables of interleaved records, parquet and JSON lines: the ranges they split into, and the rows of a range.

A row is a mapping or, where it cannot be read, the error that says why; the rows after it are read all the same.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import BUNDLE_ERRORS, Bundle, TooLargeError
from realsyn_ops.io.interleaved import COLUMNS, parse_line
from realsyn_ops.io.memory_bound import bounded_memory

MAX_MEMBER_BYTES = 8 * 2**30
"""What a parquet file inside a bundle may hold: it is read by seeking, from a copy."""

MAX_VALUES = 1_000_000
"""Places in the lists of one row. A line of JSON may hold more commas than that, since texts have them too."""

_MAX_GROUPS = 100_000
_ROW_SHARE = 8
_MAX_MARKS = 4 * MAX_VALUES
_BATCH_BYTES = 32 * 2**20
_BATCH_ROWS = 64
_DECODING_BYTES = 2**29  # what a page of a file that lies may cost before it is found out
_MAX_FOOTER_BYTES = 64 * 2**20
_PARQUET_ERRORS = (
    pa.ArrowException, MemoryError, RuntimeError, OSError, ValueError, KeyError, OverflowError, NotImplementedError,
)  # fmt: skip

Row = Mapping[str, Any] | BadDocumentError


class Table(Protocol):
    """An open table. `ranges` gives (group, start, stop, offset); `rows` takes one, gives (number, row)."""

    def __init__(self, file: BinaryIO) -> None: ...

    @classmethod
    def from_bundle(cls, bundle: Bundle, member: str) -> Self: ...

    def ranges(self, max_rows: int, max_bytes: int) -> Iterator[tuple[int, int, int, int]]: ...

    def rows(self, group: int, start: int, stop: int, offset: int, max_bytes: int) -> Iterator[tuple[int, Row]]: ...


class ParquetTable:
    """Ranges lie within row groups, so that a shard decodes one row group. Rows are numbered over the whole file."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            with _decoding():
                self._file = pq.ParquetFile(
                    file,
                    pre_buffer=False,
                    buffer_size=2**20,
                    thrift_string_size_limit=_MAX_FOOTER_BYTES,
                    thrift_container_size_limit=_MAX_GROUPS,
                )
        except _PARQUET_ERRORS as error:
            raise BadDocumentError(f"not readable as parquet: {error}") from error
        names = set(self._file.schema_arrow.names)
        if missing := {"texts", "images"} - names:
            raise BadDocumentError(f"no column {', '.join(sorted(missing))}")
        self._columns = [name for name in COLUMNS if name in names]
        if self._file.metadata.num_rows > 0 and self._file.metadata.num_row_groups > _MAX_GROUPS:
            raise BadDocumentError(f"{self._file.metadata.num_row_groups} row groups, limit {_MAX_GROUPS}")

    @classmethod
    def from_bundle(cls, bundle: Bundle, member: str) -> Self:
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the table
        n_bytes = 0
        try:
            with bundle.open(member) as source:
                while block := source.read(2**20):
                    n_bytes += copy.write(block)
                    if n_bytes > MAX_MEMBER_BYTES:
                        raise TooLargeError(f"more than {MAX_MEMBER_BYTES} bytes; give the file outside of a bundle")
        except BUNDLE_ERRORS as error:
            raise BadDocumentError(f"damaged: {error}") from error
        return cls(copy)

    def ranges(self, max_rows: int, max_bytes: int) -> Iterator[tuple[int, int, int, int]]:
        for group in range(self._file.metadata.num_row_groups):
            try:
                n_rows = self._file.metadata.row_group(group).num_rows
                step = min(max_rows, self._rows_in(max_bytes, group))
            except _PARQUET_ERRORS as error:
                raise BadDocumentError(f"row group {group} and on: {error}") from error
            if n_rows < 0:
                raise BadDocumentError(f"row group {group} and on: it counts {n_rows} rows")
            for start in range(0, n_rows, step):
                yield group, start, min(start + step, n_rows), 0

    def rows(self, group: int, start: int, stop: int, offset: int, max_bytes: int) -> Iterator[tuple[int, Row]]:
        try:
            first = sum(self._file.metadata.row_group(before).num_rows for before in range(group))
            n_rows = min(_BATCH_ROWS, self._rows_in(_BATCH_BYTES, group))
            batches = self._file.iter_batches(n_rows, row_groups=[group], columns=self._columns)
            row = 0
            while row < stop:
                with _decoding():
                    batch = next(batches, None)
                if batch is None:
                    raise BadDocumentError(f"row group {group} ends after {row} of {stop} rows")
                for place in range(max(0, start - row), min(batch.num_rows, stop - row)):
                    yield first + row + place, _parquet_row(batch, place, max_bytes)
                row += batch.num_rows
        except _PARQUET_ERRORS as error:
            raise BadDocumentError(f"row group {group}: {error}") from error

    def _rows_in(self, n_bytes: int, group: int) -> int:
        # What the footer says of single columns is not asked for: pyarrow 26 aborts the process where that is damaged.
        about = self._file.metadata.row_group(group)
        return max(1, n_bytes * about.num_rows // max(1, about.total_byte_size))


class JsonlTable:
    """One record a line; lines are numbered from 0, blank ones counted and passed over."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @classmethod
    def from_bundle(cls, bundle: Bundle, member: str) -> Self:
        return cls(bundle.open(member))

    def ranges(self, max_rows: int, max_bytes: int) -> Iterator[tuple[int, int, int, int]]:
        start = offset = size = number = 0
        damage: BadDocumentError | None = None
        try:
            for number, length in enumerate(self._lengths(), start=1):
                size += length
                if number - start >= max_rows or size >= max_bytes:
                    yield 0, start, number, offset
                    start, offset, size = number, offset + size, 0
        except BadDocumentError as error:
            damage = error
        if number > start:
            yield 0, start, number, offset
        if damage is not None:
            raise damage

    def rows(self, group: int, start: int, stop: int, offset: int, max_bytes: int) -> Iterator[tuple[int, Row]]:
        try:
            self._file.seek(offset)
            for number in range(start, stop):
                line = self._file.readline(max_bytes + 1)
                if len(line) > max_bytes and not line.endswith(b"\n"):
                    n_bytes = len(line) + self._rest()
                    yield number, TooLargeError(f"a line of {n_bytes} bytes, limit {max_bytes}")
                elif line.strip():
                    yield number, _jsonl_row(line)
        except BUNDLE_ERRORS as error:
            raise BadDocumentError(f"line {start} and on: {error}") from error

    def _lengths(self) -> Iterator[int]:
        """Bytes of each line, never more of one than a block in memory."""
        try:
            while line := self._file.readline(2**20):
                yield len(line) + (0 if line.endswith(b"\n") else self._rest())
        except BUNDLE_ERRORS as error:
            raise BadDocumentError(f"damaged: {error}") from error

    def _rest(self) -> int:
        """Reads on to the end of the line and says how long that was."""
        n_bytes = 0
        while block := self._file.readline(2**20):
            n_bytes += len(block)
            if block.endswith(b"\n"):
                break
        return n_bytes


@contextmanager
def _decoding() -> Iterator[None]:
    """Within, Arrow takes memory up to a bound: its pool's first gigabyte of address space, and _DECODING_BYTES."""
    pa.allocate_buffer(_BATCH_BYTES)  # the pool reserves that gigabyte at its first use: before the bound is drawn
    with bounded_memory(_DECODING_BYTES):
        yield


def _parquet_row(batch: pa.RecordBatch, place: int, max_bytes: int) -> Row:
    row = batch.slice(place, 1)
    try:
        for name in ("texts", "images"):
            lists = row.column(name)
            if isinstance(lists, (pa.ListArray, pa.LargeListArray)) and len(lists.flatten()) > MAX_VALUES:
                return TooLargeError(f"{len(lists.flatten())} places in {name}, limit {MAX_VALUES}")
        if row.nbytes > _ROW_SHARE * max_bytes:
            return TooLargeError(f"{row.nbytes} bytes, limit {_ROW_SHARE * max_bytes} with its images")
        record: Mapping[str, Any] = row.to_pylist()[0]
    except _PARQUET_ERRORS as error:
        return BadDocumentError(f"not readable: {error}")
    return record


def _jsonl_row(line: bytes) -> Row:
    n_values = sum(line.count(mark) for mark in (b",", b"[", b"{"))
    if n_values > _MAX_MARKS:
        return TooLargeError(f"up to {n_values} values, limit {_MAX_MARKS}")
    try:
        return parse_line(line)
    except BadDocumentError as error:
        return error


TABLES: dict[str, type[Table]] = {"parquet": ParquetTable, "jsonl": JsonlTable}
