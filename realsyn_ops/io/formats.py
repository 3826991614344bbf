"""What a raw object is, told by its first bytes and never by its name; and compressed objects made seekable."""

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.warc_damage import is_one_record_each

ACCEPTED = (
    "a zip or tar of pages, tables or samples, an HTML page, WARC, parquet, or JSON lines (OBELICS or MMC4); "
    "tar, WARC, HTML and JSON lines also as gzip"
)
MAX_UNPACKED_BYTES = 8 * 2**30
"""What a compressed tar or table may hold: it is read by seeking, so it is unpacked to a temporary file."""

MAX_RATIO = 300
_HEAD_BYTES = 4_096
_BLOCK_BYTES = 256 * 2**10
_GZIP = b"\x1f\x8b"
_HTML = re.compile(rb"\s*(?:<!doctype\s+html|<html|<head|<body|<!--|<title|<\?xml|<(?:div|p|table|h1|meta)[\s>])", re.I)
_OTHERS = (
    (b"%PDF", "PDF"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"7z\xbc\xaf", "7-Zip"),
    (b"Rar!", "RAR"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"ORC", "ORC"),
    (b"Obj\x01", "Avro"),
    (b"SQLite format 3", "SQLite"),
    (b"[", "a JSON array; write one object a line"),
)
_EXPANSION_SLACK = 2**20


def format_of(file: BinaryIO) -> str:
    """zip, tar, gzip, warc, parquet, jsonl or html; raises BadDocumentError naming what it is instead, if it can.

    Reads the first bytes and leaves the file at its start.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    return _named(head)


def _named(head: bytes) -> str:
    if not head:
        raise BadDocumentError(f"an empty object; accepted: {ACCEPTED}")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"WARC/"):
        return "warc"
    if head.startswith(_GZIP):
        return "gzip"
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return "tar"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        return "jsonl"
    if _HTML.match(text) or head.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<")):
        return "html"
    seen = next((name for magic, name in _OTHERS if head.startswith(magic)), f"bytes that start with {head[:12]!r}")
    raise BadDocumentError(f"{seen} is not read; accepted: {ACCEPTED}")


def _is_old_tar(head: bytes) -> bool:
    """A tar from before `ustar`: a checksum of its first header that fits."""
    field = head[148:156].strip(b" \0")
    if len(head) < 512 or not re.fullmatch(rb"[0-7]{3,7}", field):
        return False
    return int(field, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


@contextmanager
def unpacked(file: BinaryIO) -> Iterator[tuple[str, BinaryIO, str]]:
    """(format, file, damage) of an object, through gzip where it is in one; `damage` says where that gzip was cut.

    A WARC stays compressed when each of its records is a gzip member of its own. Raises BadDocumentError for what is
    not read, or expands beyond reason.
    """
    kind = format_of(file)
    if kind != "gzip":
        yield kind, file, ""
        return
    kind = _named(_first_bytes(file))
    is_by_record = kind == "warc" and is_one_record_each(file)
    file.seek(0)
    if is_by_record:
        yield kind, file, ""
        return
    if kind in {"gzip", "zip", "parquet"}:
        raise BadDocumentError(f"{kind} inside gzip is not read; unpack it once")
    with tempfile.TemporaryFile() as plain:
        yield kind, plain, _gunzip(file, plain)


def _first_bytes(file: BinaryIO) -> bytes:
    """The first bytes in a gzip, as far as it is whole."""
    stream = zlib.decompressobj(31)
    head = b""
    try:
        while len(head) < _HEAD_BYTES and not stream.eof and (block := file.read(256)):
            head += stream.decompress(block, _HEAD_BYTES)
    except zlib.error as error:
        if not head:
            raise BadDocumentError(f"damaged gzip: {error}") from error
    return head


def _gunzip(file: BinaryIO, plain: BinaryIO) -> str:
    """Unpacks what can be and says what could not: empty when that is nothing."""
    n_bytes = 0
    damage = ""
    with gzip.GzipFile(fileobj=file) as stream:
        while True:
            try:
                block = stream.read1(_BLOCK_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                damage = f"its gzip is damaged or cut after {n_bytes} bytes unpacked: {error}"
                break
            if not block:
                break
            n_bytes += len(block)
            if n_bytes > MAX_UNPACKED_BYTES or n_bytes > MAX_RATIO * file.tell() + _EXPANSION_SLACK:
                raise BadDocumentError(f"a gzip bomb: more than {n_bytes} bytes out of {file.tell()}")
            plain.write(block)
    plain.seek(0)
    return damage
