"""WARC and WARC.gz: the pages of an archive, and the images that the same archive holds. FastWARC finds the records.

A document's record is named by its offset in the file (`@123`), where `ArchiveIterator` can begin. What is no page
(requests, metadata, revisits, answers other than 200) is passed over: it is no document. HTTP's own codings are undone
in `http_bodies`, so that one bad body costs its page and never the archive.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import TooLargeError
from realsyn_ops.io.http_bodies import decode_body
from realsyn_ops.io.image_sources import absolute_url
from realsyn_ops.io.warc_damage import next_record, rest_after

MAX_RECORDS = 1_000_000
_MAX_INDEX_BYTES = 32 * 2**20
_MAX_DAMAGES = 50
_MAX_HEADER_BYTES = 256 * 2**10
_PAGES = ("text/html", "application/xhtml+xml")
_UNTOLD = ("", "application/octet-stream", "binary/octet-stream", "application/x-binary")
_IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif")
_ERRORS = (OSError, ValueError, EOFError, RuntimeError, OverflowError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Capture:
    """A page of an archive: where its record stands, its address, its bytes and the charset its HTTP header names."""

    offset: int
    url: str
    data: bytes | BadDocumentError
    charset: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A record worth reading, by its offset. `n_bytes` as stored, before HTTP's own compression; `url` of images."""

    offset: int
    n_bytes: int
    url: str = ""

    @property
    def is_image(self) -> bool:
        return bool(self.url)


def list_records(file: BinaryIO) -> Iterator[Listed | BadDocumentError]:
    """Pages and images in order. Each damage is an error that names where; reading goes on at the next whole record."""
    offset: int | None = 0
    n_records = n_damages = 0
    while offset is not None:
        last, is_first = offset, True
        try:
            for record in _records(file, offset):
                if record.stream_pos <= last and not is_first:
                    yield BadDocumentError(f"several records in the gzip member at byte {last}; give each its own")
                    return
                last, is_first = record.stream_pos, False
                kind = _kind(record)
                url = _url(record) if kind == "image" else ""
                n_bytes, n_read = record.content_length, record.consume()
                if n_read < n_bytes and (not record.is_http or record.is_http_parsed):
                    raise EOFError(f"cut, {n_read} of {n_bytes} bytes of this record are there")
                n_records += 1
                if n_records > MAX_RECORDS:
                    yield BadDocumentError(f"more than {MAX_RECORDS} records; the rest from byte {last} is not read")
                    return
                if kind == "page" or url:
                    yield Listed(last, n_bytes, url)
            detail = rest_after(file, last)
        except _ERRORS as error:
            detail = str(error)
        if not detail:
            return
        n_damages += 1
        if n_damages > _MAX_DAMAGES:
            yield BadDocumentError(f"damaged in more than {_MAX_DAMAGES} places; the rest from byte {last} is not read")
            return
        yield BadDocumentError(f"damaged in or after the record at byte {last}: {detail}")
        offset = next_record(file, last + 1)


def read_pages(file: BinaryIO, offset: int, n_pages: int, max_bytes: int) -> Iterator[Capture]:
    """The next `n_pages` pages from the record at `offset` on. Raises BadDocumentError where the archive is damaged."""
    last = offset
    try:
        for record in _records(file, offset):
            if _kind(record) == "page":
                last = record.stream_pos
                charset = (record.http_charset if record.is_http else _charset(record)) or ""
                yield Capture(last, _url(record), _page(record, max_bytes), charset)
                n_pages -= 1
            if n_pages <= 0:
                return
    except _ERRORS as error:
        raise BadDocumentError(f"damaged in or after the record at byte {last}: {error}") from error
    raise BadDocumentError(f"{n_pages} pages fewer than were listed from byte {offset} on")


class ArchivedImages:
    """Images of an archive by address, from the index that listing it gave; later captures of one address win."""

    def __init__(self, file: BinaryIO, index: bytes) -> None:
        self._file = file
        self._offsets: dict[str, int] = json.loads(index) if index else {}

    def __call__(self, url: str, max_bytes: int) -> bytes | None:
        """The image's bytes, None when the archive has it not. The file stays where it was: pages are read from it."""
        offset = self._offsets.get(_address(url))
        if offset is None:
            return None
        position = self._file.tell()
        try:
            record = next(iter(_records(self._file, offset)), None)
            if record is None or _kind(record) != "image":
                raise BadDocumentError("its record is gone")
            return _body(record, max_bytes)
        except _ERRORS as error:
            raise BadDocumentError(f"its record is damaged: {error}") from error
        finally:
            self._file.seek(position)


def image_index(images: list[Listed]) -> tuple[bytes, str]:
    """What `ArchivedImages` takes, and what to say of the images that it has no room for: empty for none."""
    offsets: dict[str, int] = {}
    n_bytes = n_left_out = 0
    for image in images:
        address = _address(image.url)
        n_bytes += len(address) * (address not in offsets)
        if n_bytes > _MAX_INDEX_BYTES:
            n_left_out += 1
        else:
            offsets[address] = image.offset
    index = json.dumps(offsets, sort_keys=True).encode() if offsets else b""
    return index, f"{n_left_out} images beyond the {_MAX_INDEX_BYTES} bytes of an index" if n_left_out else ""


def _records(file: BinaryIO, offset: int) -> Iterator[WarcRecord]:
    file.seek(offset)
    return iter(ArchiveIterator(file, parse_http=False, max_header_len=_MAX_HEADER_BYTES, quirks_mode=True))


def _kind(record: WarcRecord) -> str | None:
    """page, image, or None for a record that is neither, or no answer of 200. Reads the HTTP headers.

    An answer whose headers cannot be read is a page, so that it is missed by nobody: its reading says why not.
    """
    if record.record_type == WarcRecordType.resource:
        content_type = _content_type(record.headers.get("Content-Type") or "")
    elif record.record_type == WarcRecordType.response and record.is_http:
        if not _has_headers(record):
            return "page"
        if record.http_headers.status_code != 200:
            return None
        content_type = _content_type(record.http_headers.get("Content-Type") or "")
    else:
        return None
    if content_type in _PAGES:
        return "page"
    is_image = content_type.startswith("image/") or (
        content_type in _UNTOLD and _url(record).partition("?")[0].lower().endswith(_IMAGES)
    )
    return "image" if is_image else None


def _has_headers(record: WarcRecord) -> bool:
    """Whether a record's HTTP headers were, or can be read: at most _MAX_HEADER_BYTES, with a status."""
    if not record.is_http_parsed:
        try:
            record.parse_http(max_header_len=_MAX_HEADER_BYTES)
        except _ERRORS:
            return False
    return record.http_headers is not None and record.http_headers.status_code is not None


def _content_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _charset(record: WarcRecord) -> str:
    return (record.headers.get("Content-Type") or "").lower().partition("charset=")[2].partition(";")[0].strip("\"' ")


def _url(record: WarcRecord) -> str:
    return (record.headers.get("WARC-Target-URI") or "").strip("<> ")[:2_048]


def _address(url: str) -> str:
    """What two addresses of one image share: all but scheme, fragment and the ways to write one character."""
    try:
        parts = urlsplit(absolute_url(url, "") or url)
    except ValueError:
        return url
    return f"{parts.netloc.lower()}{parts.path or '/'}?{parts.query}"


def _page(record: WarcRecord, max_bytes: int) -> bytes | BadDocumentError:
    if record.is_http and not _has_headers(record):
        return BadDocumentError("its HTTP headers cannot be read, or are longer than anyone writes")
    try:
        return _body(record, max_bytes)
    except BadDocumentError as error:
        return error


def _body(record: WarcRecord, max_bytes: int) -> bytes:
    data: bytes = record.reader.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise TooLargeError(f"more than {max_bytes} bytes")
    if not record.is_http:
        return data
    headers = record.http_headers
    transfer, content = headers.get("Transfer-Encoding") or "", headers.get("Content-Encoding") or ""
    return decode_body(data, transfer, content, max_bytes)
