"""Raw objects into documents: how an object splits into shards, and a shard's documents in order.

An object is a zip (pages with their images, or tables beside their images) or a table alone (.parquet, .jsonl). What
cannot be read is a reject with its reason, never an exception: only a file that is not there raises.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import Bundle, ImageReader, TooLargeError
from realsyn_ops.io.html import read_html
from realsyn_ops.io.interleaved import read_record
from realsyn_ops.io.record_tables import TABLES, Table
from realsyn_ops.records import Document, ImageNode, Node, Reason, Reject

_PAGES = (".html", ".htm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A run of documents of one raw object. It depends on the object's content alone; `asdict` of it is JSON.

    kind html: the pages `start` to `stop` of the bundle in order of path. kind parquet: rows of row group `group`. kind
    jsonl: lines, the first at byte `offset`. `member` is the table's path in a bundle. kind unreadable: no documents,
    one reject with `detail`.
    """

    file: str
    kind: str
    member: str = ""
    group: int = 0
    start: int = 0
    stop: int = 0
    offset: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`max_document_bytes` holds for a document's page or record, and again for the sum of its images."""

    max_nodes: int
    max_document_bytes: int
    max_image_bytes: int


def list_shards(path: Path, name: str, *, max_documents: int) -> list[Shard]:
    """The shards of the raw object at `path`, at least one: what is unreadable gets a shard that says so."""
    with path.open("rb") as file:
        try:
            if name.lower().endswith(".zip"):
                return _bundle_shards(Bundle(file), name, max_documents)
            if kind := _table_kind(name):
                return _table_shards(TABLES[kind](file), Shard(file=name, kind=kind), max_documents)
            raise BadDocumentError("not a .zip, .parquet or .jsonl")
        except BadDocumentError as error:
            return [Shard(file=name, kind="unreadable", detail=str(error))]


def read_documents(path: Path, shard: Shard, *, source: str, limits: Limits) -> Iterator[Document | Reject]:
    """A shard's documents in order, each whole or as one reject. Images of a document carry bytes or a reason."""
    with path.open("rb") as file:
        reader = _Reader(shard, source, limits)
        try:
            if shard.kind == "unreadable":
                raise BadDocumentError(shard.detail)
            if shard.kind == "html":
                yield from reader.pages(Bundle(file))
            else:
                bundle = Bundle(file) if shard.member else None
                yield from reader.rows(_open_table(file, bundle, shard), bundle)
        except BadDocumentError as error:
            yield reader.reject(shard.member, error)


class _Reader:
    """Reads the documents of one shard; holds what all of them share."""

    def __init__(self, shard: Shard, source: str, limits: Limits) -> None:
        self._shard = shard
        self._source = source
        self._limits = limits

    def pages(self, bundle: Bundle) -> Iterator[Document | Reject]:
        for name in _pages(bundle)[self._shard.start : self._shard.stop]:
            try:
                page = read_html(bundle.read(name, self._limits.max_document_bytes), max_nodes=self._limits.max_nodes)
                yield self._document(name, "", page.title, iter(page.nodes), self._images(bundle, name))
            except BadDocumentError as error:
                yield self.reject(name, error)

    def rows(self, table: Table, bundle: Bundle | None) -> Iterator[Document | Reject]:
        shard = self._shard
        rows = table.rows(shard.group, shard.start, shard.stop, shard.offset, self._limits.max_document_bytes)
        for number, row in rows:
            record = f"{shard.member}#{number}"
            try:
                if isinstance(row, BadDocumentError):
                    raise row
                url, title, nodes = read_record(row)
                yield self._document(record, url, title, nodes, self._images(bundle, shard.member))
            except BadDocumentError as error:
                yield self.reject(record, error)

    def reject(self, record: str, error: BadDocumentError) -> Reject:
        is_large = isinstance(error, TooLargeError)
        return self._refuse(record, Reason.DOCUMENT_TOO_LARGE if is_large else Reason.UNREADABLE_DOCUMENT, str(error))

    def _document(
        self, record: str, url: str, title: str, nodes: Iterator[Node], images: ImageReader
    ) -> Document | Reject:
        found = list(islice(nodes, self._limits.max_nodes + 1))
        if len(found) > self._limits.max_nodes:
            return self._refuse(record, Reason.TOO_MANY_NODES, f"more than {self._limits.max_nodes}")
        if not found:
            return self._refuse(record, Reason.EMPTY_DOCUMENT, "no text and no image")
        read = tuple(images.read(node) if isinstance(node, ImageNode) else node for node in found)
        return Document(self._source, self._shard.file, record, url, title, read)

    def _images(self, bundle: Bundle | None, name: str) -> ImageReader:
        limits = self._limits
        return ImageReader(
            bundle, name, max_image_bytes=limits.max_image_bytes, max_total_bytes=limits.max_document_bytes
        )

    def _refuse(self, record: str, reason: Reason, detail: str) -> Reject:
        return Reject("extract", reason, self._source, self._shard.file, record, "", -1, detail[:500])


def _bundle_shards(bundle: Bundle, name: str, max_documents: int) -> list[Shard]:
    n_pages = len(_pages(bundle))
    shards = [
        Shard(file=name, kind="html", start=start, stop=min(start + max_documents, n_pages))
        for start in range(0, n_pages, max_documents)
    ]
    for member in bundle.names:
        if kind := _table_kind(member):
            shard = Shard(file=name, kind=kind, member=member)
            try:
                shards += _table_shards(TABLES[kind].from_bundle(bundle, member), shard, max_documents)
            except BadDocumentError as error:
                shards.append(Shard(file=name, kind="unreadable", member=member, detail=str(error)))
    if not shards:
        raise BadDocumentError("no .html, .parquet or .jsonl in the bundle")
    return shards


def _table_shards(table: Table, whole: Shard, max_documents: int) -> list[Shard]:
    shards = [
        Shard(file=whole.file, kind=whole.kind, member=whole.member, group=group, start=start, stop=stop, offset=offset)
        for group, start, stop, offset in table.ranges(max_documents)
    ]
    if not shards:
        raise BadDocumentError("no records")
    return shards


def _open_table(file: BinaryIO, bundle: Bundle | None, shard: Shard) -> Table:
    table = TABLES[shard.kind]
    return table(file) if bundle is None else table.from_bundle(bundle, shard.member)


def _pages(bundle: Bundle) -> list[str]:
    return [name for name in bundle.names if name.lower().endswith(_PAGES)]


def _table_kind(name: str) -> str | None:
    extension = name.lower().rpartition(".")[2]
    return extension if extension in TABLES else None
