"""Where a WARC is damaged: what follows its last record, and where the next whole one begins.

FastWARC ends quietly at whatever is no record, so an archive that was cut looks whole to it.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from fastwarc.warc import ArchiveIterator

_GZIP = b"\x1f\x8b\x08"
_BLOCK_BYTES = 2**20
_MAX_HEADER_BYTES = 256 * 2**10
_MAX_TRIES = 1_000
_START = re.compile(rb"\x1f\x8b\x08|WARC/1\.[01]\r?\n")
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,18})\s*$", re.I | re.M)
_ERRORS = (OSError, ValueError, EOFError, RuntimeError, OverflowError, UnicodeError)


def rest_after(file: BinaryIO, offset: int) -> str:
    """What is wrong after the record at `offset`, which is the last that was found: empty when nothing follows it."""
    with _plain(file, offset) as stream:
        try:
            length = _read_header(stream)
            if length is None:
                return "cut in a record's header"
            if _skip(stream, length) < length:
                return "cut"
            rest = stream.read(64).strip()
            while not rest and (block := stream.read(_BLOCK_BYTES)):
                rest = block[:64].strip()
        except (OSError, EOFError, zlib.error) as error:
            return f"cut or damaged: {error}"
    return f"no record, but {rest[:24]!r}" if rest else ""


def is_one_record_each(file: BinaryIO) -> bool:
    """Whether a WARC.gz begins with a gzip member that holds one record, as it must to be read by offsets."""
    file.seek(0)
    stream = zlib.decompressobj(31)
    head, left = b"", 0
    try:
        while not stream.eof and (data := stream.unconsumed_tail or file.read(_BLOCK_BYTES)):
            plain = stream.decompress(data, _BLOCK_BYTES)
            left -= len(plain)
            if not head:
                head = plain
                found, end = _LENGTH.search(head.replace(b"\r", b"")), head.find(b"\r\n\r\n")
                if found is None or end < 0:
                    return True
                left = end + 8 + int(found[1]) - len(plain)
            if left < 0:
                return False
    except zlib.error:
        return True  # its damage is found when it is listed
    return True


def next_record(file: BinaryIO, offset: int) -> int | None:
    """Where the next record begins at or after `offset`; None when none does."""
    tries = 0
    for place in _starts(file, offset):
        tries += 1
        if tries > _MAX_TRIES:
            break
        file.seek(place)
        try:
            record = next(iter(ArchiveIterator(file, parse_http=False, max_header_len=_MAX_HEADER_BYTES)), None)
        except _ERRORS:
            continue
        if record is not None and record.stream_pos == place:
            return place
    return None


def _starts(file: BinaryIO, offset: int) -> Iterator[int]:
    overlap = b""
    while True:
        file.seek(offset)
        block = file.read(_BLOCK_BYTES)
        if not block:
            return
        window, origin = overlap + block, offset - len(overlap)
        for match in _START.finditer(window):
            if match.end() > len(overlap):
                yield origin + match.start()
        overlap, offset = window[-16:], offset + len(block)


def _plain(file: BinaryIO, offset: int) -> BinaryIO:
    """The file from `offset` on, out of its gzip members; closing it closes no file."""
    file.seek(offset)
    is_gzip = file.read(len(_GZIP)) == _GZIP
    file.seek(offset)
    return cast("BinaryIO", gzip.GzipFile(fileobj=file) if is_gzip else _Borrowed(file))


class _Borrowed:
    def __init__(self, file: BinaryIO) -> None:
        self.read, self.readline = file.read, file.readline

    def __enter__(self) -> "_Borrowed":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _read_header(stream: BinaryIO) -> int | None:
    """Reads past a record's header and says how long its block is."""
    header = b""
    while len(header) <= _MAX_HEADER_BYTES:
        line = stream.readline(_MAX_HEADER_BYTES)
        if not line:
            return None
        if not line.strip() and header.strip():
            break
        header += line
    found = _LENGTH.search(header.replace(b"\r", b""))
    return int(found[1]) if found else None


def _skip(stream: BinaryIO, n_bytes: int) -> int:
    left = n_bytes
    while left and (block := stream.read(min(left, _BLOCK_BYTES))):
        left -= len(block)
    return n_bytes - left
