"""WARC and WARC.gz: the pages of an archive, and the images that the same archive holds. Read by FastWARC.

A document's record is named by its offset in the file (`@123`), where `ArchiveIterator` can begin. What is no page
(requests, metadata, revisits, answers other than 200) is passed over: it is no document.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import TooLargeError

_PAGES = ("text/html", "application/xhtml+xml")
_MAX_HEADER_BYTES = 256 * 2**10
_ERRORS = (OSError, ValueError, EOFError, RuntimeError, OverflowError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Capture:
    """A page of an archive: where its record stands, its address, its bytes and the charset its HTTP header names."""

    offset: int
    url: str
    data: bytes | TooLargeError
    charset: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A record worth reading, by its offset. `n_bytes` as stored in the record, before HTTP's own compression."""

    offset: int
    url: str
    n_bytes: int
    is_image: bool


def list_records(file: BinaryIO) -> Iterator[Listed | BadDocumentError]:
    """Pages and images in order. A damaged archive gives what stands before the damage, then an error naming where."""
    offset = 0
    try:
        for record in _records(file, 0):
            offset = record.stream_pos
            kind = _kind(record)
            if kind is not None:
                yield Listed(offset, _url(record), record.content_length, kind == "image")
    except _ERRORS as error:
        yield BadDocumentError(f"damaged after the record at byte {offset}: {error}")


def read_pages(file: BinaryIO, offset: int, n_pages: int, max_bytes: int) -> Iterator[Capture]:
    """The next `n_pages` pages from the record at `offset` on. Raises BadDocumentError where the archive is damaged."""
    try:
        for record in _records(file, offset):
            if n_pages <= 0:
                return
            if _kind(record) == "page":
                n_pages -= 1
                yield Capture(record.stream_pos, _url(record), _body(record, max_bytes), record.http_charset or "")
    except _ERRORS as error:
        raise BadDocumentError(f"damaged after byte {offset}: {error}") from error


class ArchivedImages:
    """Images of an archive by address, from the index that listing it gave; later captures of one address win."""

    def __init__(self, file: BinaryIO, index: bytes) -> None:
        self._file = file
        self._offsets: dict[str, int] = json.loads(index) if index else {}

    def __call__(self, url: str, max_bytes: int) -> bytes | None:
        """The image's bytes, None when the archive has it not. The file stays where it was: pages are read from it."""
        if url not in self._offsets:
            return None
        position = self._file.tell()
        try:
            record = next(iter(_records(self._file, self._offsets[url])), None)
            if record is None:
                raise BadDocumentError("its record is gone")
            body = _body(record, max_bytes)
        except _ERRORS as error:
            raise BadDocumentError(f"its record is damaged: {error}") from error
        finally:
            self._file.seek(position)
        if isinstance(body, TooLargeError):
            raise body
        return body


def image_index(images: list[Listed]) -> bytes:
    """What `ArchivedImages` takes."""
    return json.dumps({image.url: image.offset for image in images}, sort_keys=True).encode() if images else b""


def _records(file: BinaryIO, offset: int) -> Iterator[WarcRecord]:
    file.seek(offset)
    return iter(
        ArchiveIterator(
            file,
            record_types=WarcRecordType.response | WarcRecordType.resource,
            parse_http=True,
            auto_decode="all",
            max_header_len=_MAX_HEADER_BYTES,
            quirks_mode=True,
        )
    )


def _kind(record: WarcRecord) -> str | None:
    """page, image, or None for a record that is neither, or no answer of 200."""
    content_type = (record.http_content_type or "").lower()
    if record.record_type == WarcRecordType.resource:
        content_type = (record.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    elif not record.is_http or record.http_headers is None or record.http_headers.status_code != 200:
        return None
    if content_type in _PAGES:
        return "page"
    return "image" if content_type.startswith("image/") else None


def _url(record: WarcRecord) -> str:
    return (record.headers.get("WARC-Target-URI") or "").strip("<> ")[:2_048]


def _body(record: WarcRecord, max_bytes: int) -> bytes | TooLargeError:
    data: bytes = record.reader.read(max_bytes + 1)
    return TooLargeError(f"more than {max_bytes} bytes") if len(data) > max_bytes else data
