"""Tables of interleaved records, parquet and JSON lines: the ranges they split into, and the rows of a range.

A row is a mapping or, where it cannot be read, the error that says why; the rows after it are read all the same.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import BUNDLE_ERRORS, Bundle, TooLargeError, read_member
from realsyn_ops.io.interleaved import COLUMNS, parse_line

# What is kept of a parquet file inside a bundle (it is read by seeking), and what one value of a column may hold on
# average: a column chunk is read page by page, and a page holds whole values.
MAX_MEMBER_BYTES = 512 * 2**20
MAX_VALUE_BYTES = 64 * 2**20
_MAX_GROUPS = 100_000
_BATCH_BYTES = 32 * 2**20
_PARQUET_ERRORS = (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, NotImplementedError)

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
            self._file = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
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
        return cls(io.BytesIO(read_member(bundle, member, MAX_MEMBER_BYTES)))

    def ranges(self, max_rows: int, max_bytes: int) -> Iterator[tuple[int, int, int, int]]:
        for group in range(self._file.metadata.num_row_groups):
            n_rows = self._file.metadata.row_group(group).num_rows
            step = min(max_rows, self._rows_in(max_bytes, group))
            for start in range(0, n_rows, step):
                yield group, start, min(start + step, n_rows), 0

    def rows(self, group: int, start: int, stop: int, offset: int, max_bytes: int) -> Iterator[tuple[int, Row]]:
        self._check_group(group)
        try:
            first = sum(self._file.metadata.row_group(before).num_rows for before in range(group))
            size = min(64, self._rows_in(_BATCH_BYTES, group))
            row = 0
            for batch in self._file.iter_batches(size, row_groups=[group], columns=self._columns):
                for place in range(max(0, start - row), min(batch.num_rows, stop - row)):
                    yield first + row + place, _parquet_row(batch, place, max_bytes)
                row += batch.num_rows
                if row >= stop:
                    return
        except _PARQUET_ERRORS as error:
            raise BadDocumentError(f"row group {group}: {error}") from error

    def _check_group(self, group: int) -> None:
        about = self._file.metadata.row_group(group)
        for place in range(about.num_columns):
            chunk = about.column(place)
            if chunk.total_uncompressed_size > MAX_VALUE_BYTES * max(1, min(chunk.num_values, about.num_rows)):
                raise TooLargeError(
                    f"row group {group}: {chunk.total_uncompressed_size} bytes in {chunk.num_values} values of "
                    f"{chunk.path_in_schema}, limit {MAX_VALUE_BYTES} each"
                )

    def _rows_in(self, n_bytes: int, group: int) -> int:
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
        for number, length in enumerate(self._lengths(), start=1):
            size += length
            if number - start >= max_rows or size >= max_bytes:
                yield 0, start, number, offset
                start, offset, size = number, offset + size, 0
        if number > start:
            yield 0, start, number, offset

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


def _parquet_row(batch: pa.RecordBatch, place: int, max_bytes: int) -> Row:
    row = batch.slice(place, 1)
    try:
        record: Mapping[str, Any] = row.to_pylist()[0]
    except (ValueError, pa.ArrowException) as error:
        return BadDocumentError(f"not readable: {error}")
    n_bytes = sum(len(text) for text in record.get("texts") or () if isinstance(text, str))
    return TooLargeError(f"{n_bytes} characters of text, limit {max_bytes}") if n_bytes > max_bytes else record


def _jsonl_row(line: bytes) -> Row:
    try:
        return parse_line(line)
    except BadDocumentError as error:
        return error


TABLES: dict[str, type[Table]] = {"parquet": ParquetTable, "jsonl": JsonlTable}
