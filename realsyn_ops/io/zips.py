"""Zips as bundles. A zip whose end is gone is read by the headers of its members, up to the cut."""

import io
import struct
import zipfile
import zlib
from itertools import pairwise
from typing import BinaryIO

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import BUNDLE_ERRORS, MAX_MEMBERS, Contents, Window, blocks

MAX_RATIO = 300
_MAX_DIRECTORY_BYTES = 128 * 2**20
_SLACK = 2**20
_BLOCK_BYTES = 2**20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_HAS_DESCRIPTOR = 0x8
_UNIX_LINK = 0o120000
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")


class ZipBundle:
    """Raises BadDocumentError for a file that is no zip, or whose directory is beyond reason. Links are left out."""

    def __init__(self, file: BinaryIO) -> None:
        contents: Contents[zipfile.ZipInfo] = Contents()
        try:
            if not _check_directory(file):
                file, cut = _restored(file)
                contents.refuse(cut)
            self._zip = zipfile.ZipFile(file)
        except BUNDLE_ERRORS as error:
            raise BadDocumentError(f"not a readable zip: {error}") from error
        _check_overlap(self._zip.infolist())
        for info in self._zip.infolist():
            if (info.external_attr >> 16) & 0o170000 == _UNIX_LINK:
                contents.refuse("links", info.filename)
            elif not info.filename.endswith("/"):
                contents.add(info.filename, info)
        self._members = contents.members
        self.names = contents.names
        self.sizes = {name: info.file_size for name, info in self._members.items()}
        self.refused = contents.refused

    def open(self, name: str) -> BinaryIO:
        info = self._members[name]
        if info.flag_bits & _ENCRYPTED:
            raise BadDocumentError("encrypted")
        if info.compress_type not in _METHODS:
            raise BadDocumentError(f"compression method {info.compress_type}; stored and deflated are read")
        if info.file_size > MAX_RATIO * info.compress_size + _SLACK:
            raise BadDocumentError(f"a zip bomb: {info.file_size} bytes out of {info.compress_size}")
        try:
            return self._zip.open(info)  # type: ignore[return-value]
        except BUNDLE_ERRORS as error:
            raise BadDocumentError(f"damaged: {error}") from error


def _check_directory(file: BinaryIO) -> bool:
    """Whether the zip has a directory; refuses one that would fill the memory, since it is read whole.

    Its entries are counted as `zipfile` reads them: the count that the zip gives is not looked at by anyone.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined] # where ZipFile looks, and nowhere else
    if not end:
        return False
    signature, n_bytes, place = end[0], end[5], end[9]
    position = place - n_bytes - (76 if signature == b"PK\x06\x06" else 0)
    if n_bytes > _MAX_DIRECTORY_BYTES:
        raise BadDocumentError(f"a zip with a directory of {n_bytes} bytes")
    n_members, stop = 0, position + n_bytes
    while 0 <= position < stop:
        file.seek(position)
        header = file.read(_CENTRAL.size)
        if len(header) < _CENTRAL.size:
            break
        position += _CENTRAL.size + sum(struct.unpack_from("<3H", header, 28))
        n_members += 1
        if n_members > MAX_MEMBERS:
            raise BadDocumentError(f"a zip of more than {MAX_MEMBERS} members")
    file.seek(0)
    return True


def _check_overlap(infos: list[zipfile.ZipInfo]) -> None:
    """Raises BadDocumentError where two members share bytes: so a small zip gives any amount of data."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for info, after in pairwise(ordered):
        if info.header_offset + _LOCAL.size + info.compress_size > after.header_offset:
            raise BadDocumentError(
                f"a zip bomb: {info.filename[:200]!r} and {after.filename[:200]!r} share their bytes"
            )


def _restored(file: BinaryIO) -> tuple[BinaryIO, str]:
    """A zip that lost its directory with a new one for the members that are whole, and what to say of the rest."""
    n_bytes = file.seek(0, io.SEEK_END)
    position = n_members = n_directory_bytes = 0
    directory: list[bytes] = []
    while n_members < MAX_MEMBERS and n_directory_bytes < _MAX_DIRECTORY_BYTES and position < 2**32 - 1:
        file.seek(position)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            break
        _, version, flags, method, time, date, checksum, packed, plain, n_name, n_extra = _LOCAL.unpack(header)
        name = file.read(n_name)
        start = position + _LOCAL.size + n_name + n_extra
        stop = start + packed
        if flags & _HAS_DESCRIPTOR and not packed:
            file.seek(start)
            found = _measured(file, n_bytes - start) if method == zipfile.ZIP_DEFLATED else None
            if found is None:
                break
            packed, plain, checksum = found
            stop = start + packed
            file.seek(stop)
            stop += 16 if file.read(4) == b"PK\x07\x08" else 12
        if stop > n_bytes:
            break
        entry = (version, version, flags, method, time, date, checksum, packed, plain, n_name, 0, 0, 0, 0, 0, position)
        directory.append(_CENTRAL.pack(b"PK\x01\x02", *entry) + name)
        n_directory_bytes += len(directory[-1])
        n_members += 1
        position = stop
    if not directory:
        raise BadDocumentError("not a readable zip: no end of its directory")
    body = b"".join(directory)
    counted = min(n_members, 0xFFFF)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, counted, counted, len(body), position, 0)
    cut = f"cut: its directory is gone, and nothing is read from byte {position} on"
    return io.BufferedReader(Window(file, 0, position, body + end)), cut


def _measured(file: BinaryIO, n_bytes: int) -> tuple[int, int, int] | None:
    """(bytes packed, bytes, checksum) of the deflated data here; None when it does not end, or is a bomb."""
    stream = zlib.decompressobj(-15)
    n_packed = n_plain = checksum = 0
    for block in blocks(file, n_bytes):
        data, plain = block, b""
        while not stream.eof and (data or len(plain) == _BLOCK_BYTES):
            plain = stream.decompress(data, _BLOCK_BYTES)
            n_plain += len(plain)
            checksum = zlib.crc32(plain, checksum)
            if n_plain > MAX_RATIO * (n_packed + len(block)) + _SLACK:
                return None
            data = stream.unconsumed_tail
        n_packed += len(block) - len(stream.unused_data)
        if stream.eof:
            return n_packed, n_plain, checksum
    return None
