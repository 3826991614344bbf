"""Makers of archives that no honest tool writes. Large ones are sparse files, or repeat one compressed block."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

GOOD = b"<p>A good page."
BIG = 2 * 2**30


def zipped(members: dict[str, bytes], *, mode: int = 0o100644) -> bytes:
    """The good page beside members of which each has the file mode."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            bundle.writestr(info, data, zipfile.ZIP_DEFLATED)
        bundle.writestr("good.html", GOOD)
    return sink.getvalue()


@dataclass(frozen=True)
class Entry:
    """A line of a zip's directory: `place` is where its member's own header is said to be."""

    name: bytes
    place: int
    packed: int
    plain: int
    method: int = 8
    crc: int = 0


def local(entry: Entry) -> bytes:
    sizes = (entry.crc, entry.packed, entry.plain, len(entry.name), 0)
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, entry.method, 0, 33, *sizes) + entry.name


def directory(entries: Iterable[Entry], start: int, *, counted: int) -> bytes:
    lines = b"".join(
        struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, e.method, 0, 33, e.crc, e.packed, e.plain, len(e.name),
            0, 0, 0, 0, 0, e.place,
        ) + e.name
        for e in entries
    )  # fmt: skip
    return lines + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, counted, counted, len(lines), start, 0)


@lru_cache
def deflated_zeros(n_bytes: int) -> bytes:
    """A raw deflate stream of zeros: one block of a mebibyte, repeated."""
    stream = zlib.compressobj(9, wbits=-15)
    first = stream.compress(bytes(2**20)) + stream.flush(zlib.Z_FULL_FLUSH)
    again = stream.compress(bytes(2**20)) + stream.flush(zlib.Z_FULL_FLUSH)
    return first + again * (n_bytes // 2**20 - 1) + stream.flush()


def zip_of_zeros() -> bytes:
    """A page of 2 GB in a zip of 2 MB, beside the good one."""
    packed = deflated_zeros(BIG)
    entry = Entry(b"bomb.html", 0, len(packed), BIG - 1)
    good = Entry(b"good.html", len(local(entry)) + len(packed), len(GOOD), len(GOOD), 0, zlib.crc32(GOOD))
    head = local(entry) + packed + local(good) + GOOD
    return head + directory([entry, good], len(head), counted=2)


def zip_of_shared_bytes(n_members: int) -> bytes:
    """Members that all are the same compressed bytes."""
    packed = zlib.compress(bytes(100_000))[2:-4]
    entry = Entry(b"0.html", 0, len(packed), 100_000)
    head = local(entry) + packed
    entries = [Entry(b"%d.html" % n, 0, len(packed), 100_000) for n in range(n_members)]
    return head + directory(entries, len(head), counted=n_members)


def zip_of_quoted_headers(n_members: int) -> bytes:
    """Fifield's: each member quotes the next one's header in a stored block, so that all end in one kernel."""
    kernel = zlib.compress(bytes(100_000))[2:-4]
    parts: list[bytes] = []
    sizes: list[tuple[int, int]] = []
    packed, plain = len(kernel), 100_000
    for n in reversed(range(n_members)):
        own = local(Entry(b"%04d.html" % n, 0, packed, plain))
        parts.append(own)
        sizes.append((packed, plain))
        quote = struct.pack("<BHH", 0, len(own), len(own) ^ 0xFFFF)
        if n:
            parts.append(quote)
            packed, plain = packed + len(own) + len(quote), plain + len(own)
    head = b"".join(reversed(parts))
    entries, place = [], 0
    for n, (packed, plain) in enumerate(reversed(sizes)):
        entries.append(Entry(b"%04d.html" % n, place, packed, plain))
        place += len(local(entries[-1])) + 5
    return head + kernel + directory(entries, len(head) + len(kernel), counted=n_members)


def zip_of_many_members(n_members: int) -> bytes:
    """A directory that says it has one line."""
    line = Entry(b"0.html", 0, 0, 0, 0)
    return local(line) + directory([line] * n_members, len(local(line)), counted=1)


def tar_header(name: bytes, size: int, kind: bytes = b"0", *, size_field: bytes = b"") -> bytes:
    header = bytearray(512)
    header[: len(name[:100])] = name[:100]
    header[100:124] = b"0000644\0" + b"0000000\0" * 2
    header[124:136] = size_field or b"%011o\0" % size
    header[136:148] = b"00000000000\0"
    header[156:157] = kind
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def tar_of(*members: tuple[bytes, bytes, bytes]) -> bytes:
    """The good page, then (name, type, data) of each member, then the end."""
    all_members = ((b"good.html", b"0", GOOD), *members)
    return b"".join(
        tar_header(name, len(data), kind) + data + bytes(-len(data) % 512) for name, kind, data in all_members
    ) + bytes(1024)


def tar_of_many_members(n_members: int) -> bytes:
    """Empty pages without an end: only the name and the checksum differ."""
    parts = []
    plain = tar_header(b"000000.page", 0)
    total = int(plain[148:154], 8) - 6 * 48
    for n in range(n_members):
        name = b"%06d" % n
        parts.append(name + plain[6:148] + b"%06o" % (total + sum(name)) + plain[154:])
    return b"".join(parts)


def tar_link(kind: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as bundle:
        info = tarfile.TarInfo("good.html")
        info.size = len(GOOD)
        bundle.addfile(info, io.BytesIO(GOOD))
        link = tarfile.TarInfo("link.html")
        link.type, link.linkname = kind, "/etc/passwd"
        bundle.addfile(link)
    return sink.getvalue()


def pax(**records: str) -> bytes:
    body = b""
    for key, value in records.items():
        pair = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(pair) + 1
        while len(str(length)) + len(pair) != length:
            length += 1
        body += str(length).encode() + pair
    return body


def warc_record(body: bytes, headers: bytes = b"Content-Type: text/html", *, length: int | None = None) -> bytes:
    block = b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n" + body
    head = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://host/\r\n"
        b"Content-Type: application/http; msgtype=response\r\nContent-Length: "
    )
    return head + b"%d\r\n\r\n%s\r\n\r\n" % (len(block) if length is None else length, block)


def sparse(path: Path, head: bytes, n_zeros: int, tail: bytes) -> None:
    """A file of `head`, zeros that take no room on the disk, and `tail`."""
    with path.open("wb") as file:
        file.write(head)
        file.seek(n_zeros, io.SEEK_CUR)
        file.write(tail)


def gzip_of_zeros(n_bytes: int, head: bytes) -> bytes:
    """A gzip of `head` and zeros, in members of which each is small."""
    packed = b"\x1f\x8b\x08\0\0\0\0\0\0\3" + deflated_zeros(n_bytes)
    return gzip.compress(head) + packed + struct.pack("<2I", 0, n_bytes & 0xFFFFFFFF)
