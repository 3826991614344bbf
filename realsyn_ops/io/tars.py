"""Tars as bundles, walked header by header: nothing of a header is believed that would cost more than a few kilobytes.

Not by `tarfile`: it holds extended headers and sparse maps whole and searches them in quadratic time.
"""

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import BUNDLE_ERRORS, Contents, Window

_BLOCK = 512
_MAX_EXTENDED_BYTES = 64 * 2**10
_NUMBER = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_REGULAR = frozenset((b"0", b"\0", b"7"))
_SKIPPED = frozenset((b"g", b"K", b"V"))


class TarBundle:
    """Regular files of a tar. One that is cut or damaged gives the members before that place."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        contents: Contents[tuple[int, int]] = Contents()
        try:
            for name, kind, offset, size in _headers(file):
                if kind in _REGULAR:
                    contents.add(name, (offset, size))
                elif kind != b"5":
                    contents.refuse("links, devices and the like", name)
        except (*BUNDLE_ERRORS, BadDocumentError) as error:
            if not contents.members:
                raise BadDocumentError(f"not a readable tar: {error}") from error
            contents.refuse(f"the rest is not read: {error}")
        self._members = contents.members
        self.names = contents.names
        self.sizes = {name: size for name, (_, size) in self._members.items()}
        self.refused = contents.refused

    def open(self, name: str) -> BinaryIO:
        offset, size = self._members[name]
        return io.BufferedReader(Window(self._file, offset, offset + size))


def _headers(file: BinaryIO) -> Iterator[tuple[str, bytes, int, int]]:
    """(name, type, offset of the data, size) of each member; raises BadDocumentError at what is no member."""
    n_bytes = file.seek(0, io.SEEK_END)
    position = 0
    name, size = "", -1  # what an extended header said of the member after it
    while True:
        file.seek(position)
        header = file.read(_BLOCK)
        if len(header) < _BLOCK:
            raise BadDocumentError(f"cut at byte {position}, before the end of the archive")
        if not header.strip(b"\0"):
            return
        if not _has_checksum(header):
            raise BadDocumentError(f"no header at byte {position}")
        kind, offset = header[156:157], position + _BLOCK
        own_size = _number(header[124:136])
        is_extended = kind in b"xL" or kind in _SKIPPED
        length = size if size >= 0 and not is_extended else own_size
        position = offset + -(-length // _BLOCK) * _BLOCK
        if offset + length > n_bytes:
            raise BadDocumentError(f"{name or _own_name(header)!r} is cut: {n_bytes - offset} of {length} bytes")
        if kind == b"S":
            raise BadDocumentError(f"{name or _own_name(header)!r} is sparse")
        if is_extended:
            if length > _MAX_EXTENDED_BYTES:
                raise BadDocumentError(f"an extended header of {length} bytes")
            body = file.read(length)
            if kind == b"L":
                name = _text(body.rstrip(b"\0"))
            elif kind == b"x":
                name, size = _pax(body, name, size)
            continue
        yield name or _own_name(header), kind, offset, length
        name, size = "", -1


def _own_name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _pax(body: bytes, name: str, size: int) -> tuple[str, int]:
    """Path and size out of records `LENGTH KEY=VALUE`, each ended by a line break."""
    position = 0
    while position < len(body) and body[position]:
        length = body[position : position + 8].partition(b" ")[0]
        stop = position + int(length) if length.isdigit() else position
        if stop <= position or body[stop - 1 : stop] != b"\n":
            raise BadDocumentError("a damaged extended header")
        key, _, value = body[position + len(length) + 1 : stop - 1].partition(b"=")
        if key == b"path":
            name = _text(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise BadDocumentError(f"a size of {value[:20]!r}")
            size = int(value)
        elif key.startswith(b"GNU.sparse"):
            raise BadDocumentError("a sparse member")
        position = stop
    return name, size


def _number(field: bytes) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    found = _NUMBER.fullmatch(field)
    if found is None:
        raise BadDocumentError(f"a header with the number {field!r}")
    return int(found[1] or b"0", 8)


def _has_checksum(header: bytes) -> bool:
    """Whether the header's sum is right: over unsigned bytes, or over signed ones as some old tars write it."""
    wanted = _number(header[148:156])
    total = sum(header) - sum(header[148:156]) + 8 * 32
    return wanted == total or wanted == total - 256 * sum(byte > 127 for byte in header)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
