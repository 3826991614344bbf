"""Raw objects into documents: how an object splits into shards, and a shard's documents in order.

What an object is, its first bytes say (`formats`). What cannot be read is a reject with its reason, never an exception.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io import raw_shards
from realsyn_ops.io.bundles import Bundle, TooLargeError, read_member
from realsyn_ops.io.formats import unpacked
from realsyn_ops.io.html import read_html
from realsyn_ops.io.image_sources import Archived, ImageReader
from realsyn_ops.io.interleaved import parse_line, read_record
from realsyn_ops.io.raw_shards import Listing, Shard
from realsyn_ops.io.record_tables import Table
from realsyn_ops.io.warc import ArchivedImages, read_pages
from realsyn_ops.records import Document, ImageNode, Node, Reason, Reject

MAX_PAGE_BYTES = 16 * 2**20
"""A page's own bytes whatever the limit of a document: to parse it takes thirty times as many."""

MAX_SHARD_IMAGE_BYTES = 2**30
"""What the images of one shard may hold, each counted once: they are in memory together when it is extracted."""

__all__ = ["Limits", "Listing", "Shard", "list_shards", "read_documents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`max_document_bytes` holds for a document's page or record, and again for the sum of its images."""

    max_nodes: int
    max_document_bytes: int
    max_image_bytes: int


def list_shards(raw: BinaryIO | Bundle, name: str, *, max_documents: int, max_bytes: int) -> Listing:
    """The shards of a raw object, at least one: what is unreadable gets a shard that says so.

    `raw` is a seekable file, or loose objects as one bundle. A shard holds at most `max_documents` documents and, one
    large document aside, about `max_bytes` of them.
    """
    try:
        return raw_shards.list_shards(raw, name, max_documents, max_bytes)
    except BadDocumentError as error:
        return Listing([Shard(file=name, kind="unreadable", detail=str(error))])


def read_documents(
    raw: BinaryIO | Bundle, shard: Shard, *, source: str, limits: Limits, images: bytes = b""
) -> Iterator[Document | Reject]:
    """A shard's documents in order, each whole or as one reject. Images of a document carry bytes or a reason.

    `images` is what listing the same object gave as its index.
    """
    reader = _Reader(shard, source, limits)
    try:
        if shard.kind == "unreadable":
            raise BadDocumentError(shard.detail)
        if isinstance(raw, Bundle):
            yield from reader.members(raw)
            return
        with unpacked(raw) as (kind, file, _):
            if kind == "warc":
                yield from reader.captures(file, ArchivedImages(file, images))
            elif kind == "html":
                yield from reader.page(file)
            elif shard.kind in {"parquet", "jsonl"}:
                bundle = raw_shards.open_bundle(kind, file) if shard.member else None
                yield from reader.rows(raw_shards.open_table(file, bundle, shard), bundle)
            else:
                yield from reader.members(raw_shards.open_bundle(kind, file))
    except BadDocumentError as error:
        yield reader.reject(shard.member, error)


class _Reader:
    """Reads the documents of one shard; holds what all of them share."""

    def __init__(self, shard: Shard, source: str, limits: Limits) -> None:
        self._shard = shard
        self._source = source
        self._limits = limits
        self._max_page_bytes = min(limits.max_document_bytes, MAX_PAGE_BYTES)
        self._seen: set[int] = set()
        self._left = MAX_SHARD_IMAGE_BYTES

    def members(self, bundle: Bundle) -> Iterator[Document | Reject]:
        """Pages of a bundle, or its samples: records with their images beside them."""
        shard = self._shard
        images = raw_shards.sample_images(bundle) if shard.kind == "samples" else {}
        for name in raw_shards.members_of(bundle, shard.kind)[shard.start : shard.stop]:
            try:
                data = read_member(bundle, name, self._max_page_bytes)
                if shard.kind == "samples":
                    url, title, nodes = read_record(parse_line(data))
                    nodes = raw_shards.with_sample_names(nodes, bundle, name, raw_shards.sample_of(images, name))
                    yield self._document(name, url, title, nodes, self._images(bundle, name, url=url))
                else:
                    yield self._page(name, "", data, bundle)
            except BadDocumentError as error:
                yield self.reject(name, error)

    def page(self, file: BinaryIO) -> Iterator[Document | Reject]:
        """An HTML page that is an object of its own."""
        try:
            data = file.read(self._max_page_bytes + 1)
            if len(data) > self._max_page_bytes:
                raise TooLargeError(f"more than {self._max_page_bytes} bytes")
            yield self._page("", "", data, None)
        except BadDocumentError as error:
            yield self.reject("", error)

    def captures(self, file: BinaryIO, archived: Archived) -> Iterator[Document | Reject]:
        shard = self._shard
        for capture in read_pages(file, shard.offset, shard.stop - shard.start, self._max_page_bytes):
            record = f"@{capture.offset}"
            try:
                if isinstance(capture.data, BadDocumentError):
                    raise capture.data
                yield self._page(record, capture.url, capture.data, None, charset=capture.charset, archived=archived)
            except BadDocumentError as error:
                yield self.reject(record, error)

    def rows(self, table: Table, bundle: Bundle | None) -> Iterator[Document | Reject]:
        shard = self._shard
        rows = table.rows(shard.group, shard.start, shard.stop, shard.offset, self._limits.max_document_bytes)
        for number, row in rows:
            record = f"{shard.member}#{number}"
            try:
                if isinstance(row, BadDocumentError):
                    raise row
                url, title, nodes = read_record(row)
                yield self._document(record, url, title, nodes, self._images(bundle, shard.member, url=url))
            except BadDocumentError as error:
                yield self.reject(record, error)

    def reject(self, record: str, error: BadDocumentError) -> Reject:
        is_large = isinstance(error, TooLargeError)
        return self._refuse(record, Reason.DOCUMENT_TOO_LARGE if is_large else Reason.UNREADABLE_DOCUMENT, str(error))

    def _page(
        self,
        record: str,
        url: str,
        data: bytes,
        bundle: Bundle | None,
        *,
        charset: str = "",
        archived: Archived | None = None,
    ) -> Document | Reject:
        page = read_html(data, charset=charset, max_nodes=self._limits.max_nodes)
        images = self._images(bundle, record, url=url, base=page.base, archived=archived)
        return self._document(record, url, page.title, iter(page.nodes), images)

    def _document(
        self, record: str, url: str, title: str, nodes: Iterator[Node], images: ImageReader
    ) -> Document | Reject:
        found = list(islice(nodes, self._limits.max_nodes + 1))
        if len(found) > self._limits.max_nodes:
            return self._refuse(record, Reason.TOO_MANY_NODES, f"more than {self._limits.max_nodes}")
        if not found:
            return self._refuse(record, Reason.EMPTY_DOCUMENT, "no text and no image")
        read = tuple(self._within_shard(images.read(node)) if isinstance(node, ImageNode) else node for node in found)
        return Document(self._source, self._shard.file, record, url, title, read)

    def _within_shard(self, image: ImageNode) -> ImageNode:
        if image.data is None or (seen := hash(image.data)) in self._seen:
            return image
        if len(image.data) > self._left:
            detail = f"{len(image.data)} bytes, {self._left} left to this shard"
            return replace(image, data=None, reason=Reason.IMAGE_TOO_LARGE, detail=detail)
        self._seen.add(seen)
        self._left -= len(image.data)
        return image

    def _images(
        self, bundle: Bundle | None, name: str, *, url: str = "", base: str = "", archived: Archived | None = None
    ) -> ImageReader:
        return ImageReader(
            bundle,
            name,
            url=url,
            base=base,
            archived=archived,
            max_image_bytes=self._limits.max_image_bytes,
            max_total_bytes=self._limits.max_document_bytes,
        )

    def _refuse(self, record: str, reason: Reason, detail: str) -> Reject:
        return Reject("extract", reason, self._source, self._shard.file, record, "", -1, detail[:500])
