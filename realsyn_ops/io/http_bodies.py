"""Bodies of HTTP answers as archives store them: out of their chunks and codings, never past a limit.

Archives often keep the headers of a coding that they have already undone. So a body that shows no trace of its coding
is taken as it is; one that does and is damaged, or whose coding is unknown, raises.
"""

import io
import re
import zlib
from collections.abc import Callable
from typing import Any

from fastwarc.stream_io import BrotliReader, ZstdReader

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import TooLargeError

_MAX_CODINGS = 3
_MAX_CHUNKS = 1_000_000
_CHUNK = re.compile(rb"(?:\r?\n)?([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")
_GZIP = b"\x1f\x8b"
_CONTROLS = bytes(range(9)) + bytes(range(14, 32))


def decode_body(data: bytes, transfer: str, content: str, max_bytes: int) -> bytes:
    """A stored body as the page or image that it is; the arguments are Transfer-Encoding and Content-Encoding.

    Raises TooLargeError past `max_bytes`, BadDocumentError for what is damaged, cut or in an unknown coding.
    """
    if "chunked" in transfer.lower():
        data = _dechunked(data)
    codings = [
        coding for part in content.lower().split(",") if (coding := part.strip()) not in {"", "identity", "none"}
    ]
    if len(codings) > _MAX_CODINGS:
        raise BadDocumentError(f"{len(codings)} content encodings, limit {_MAX_CODINGS}")
    for coding in reversed(codings):
        data = _decoded(data, coding, max_bytes)
    return data


def _decoded(data: bytes, coding: str, max_bytes: int) -> bytes:
    try:
        if coding in {"gzip", "x-gzip"}:
            return _inflated(data, 31, max_bytes) if data.startswith(_GZIP) else data
        if coding == "deflate":
            return _inflated(data, 15 if _is_zlib(data) else -15, max_bytes)
        if coding == "br":
            return _read(BrotliReader, data, max_bytes)
        if coding == "zstd":
            return _read(ZstdReader, data, max_bytes)
    except (zlib.error, OSError) as error:
        if _is_text(data):
            return data
        raise BadDocumentError(f"its {coding} is damaged: {error}") from error
    raise BadDocumentError(f"content encoding {coding[:40]!r} is not read")


def _inflated(data: bytes, wbits: int, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = max_bytes
    while True:
        stream = zlib.decompressobj(wbits)
        parts.append(stream.decompress(data, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise TooLargeError(f"more than {max_bytes} bytes")
        if not stream.eof:
            raise zlib.error("it ends early")
        data = stream.unused_data
        if wbits != 31 or not data.startswith(_GZIP):
            return b"".join(parts)


def _read(kind: Callable[[io.BytesIO], Any], data: bytes, max_bytes: int) -> bytes:
    reader = kind(io.BytesIO(data))
    parts: list[bytes] = []
    left = max_bytes + 1
    while left > 0 and (part := reader.read(min(left, 2**20))):
        parts.append(part)
        left -= len(part)
    if left <= 0:
        raise TooLargeError(f"more than {max_bytes} bytes")
    return b"".join(parts)


def _dechunked(data: bytes) -> bytes:
    parts: list[bytes] = []
    position = 0
    while len(parts) < _MAX_CHUNKS:
        head = _CHUNK.match(data, position)
        if head is None:
            if not parts:
                return data
            raise BadDocumentError(f"its chunks are damaged at byte {position}")
        size = int(head[1], 16)
        if size == 0:
            return b"".join(parts)
        position = head.end() + size
        if position > len(data):
            raise BadDocumentError(f"cut in its chunk of {size} bytes")
        parts.append(data[head.end() : position])
    raise BadDocumentError(f"more than {_MAX_CHUNKS} chunks")


def _is_zlib(data: bytes) -> bool:
    return len(data) > 1 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0


def _is_text(data: bytes) -> bool:
    head = data[:512]
    return head.lstrip().startswith(b"<") and head == head.translate(None, _CONTROLS)
