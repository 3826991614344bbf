"""An HTTP server with small images that also does what servers do wrong, for the fetcher's tests and benchmark.

A path's first part says how it answers (`_ANSWERS`); the rest makes the image its own: `/ok/17.jpg`. Run as a program
it prints its port and serves until its input ends.
"""

import asyncio
import gzip
import io
import sys
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache

from PIL import Image

ROBOTS = "User-agent: *\nDisallow: /private/\n"
ENDLESS_BYTES = 64 * 2**20
"""Far beyond any limit, and yet an end for clients that have none."""
ETAG = '"one"'
LAST_MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"


@lru_cache
def _jpeg() -> bytes:
    content = io.BytesIO()
    Image.linear_gradient("L").resize((160, 120)).convert("RGB").save(content, "JPEG", quality=85)
    return content.getvalue()


def picture(path: str) -> bytes:
    """A JPEG of its own for each path: one picture with the path as its comment."""
    comment = path.encode()
    return b"\xff\xd8\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + _jpeg()[2:]


class MisbehavingServer:
    """Serves one event loop; `asked` counts requests by path."""

    def __init__(self, *, slow_s: float = 0.2) -> None:
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.robots: tuple[int, str] = (200, ROBOTS)
        self.n_open = self.most_open = 0
        self._slow_s = slow_s
        self._server: asyncio.Server | None = None

    async def start(self, **tls: object) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **tls)  # type: ignore[arg-type]
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                path = lines[0].split(" ")[1]
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                self.asked[path] += 1
                self.headers[path] = headers
                self.n_open += 1
                self.most_open = max(self.most_open, self.n_open)
                try:
                    is_open = await self._answer(path, headers, writer)
                    await writer.drain()
                finally:
                    self.n_open -= 1
                if not is_open or headers.get("connection", "").lower() == "close":
                    break
        with suppress(ConnectionError):
            writer.close()

    async def _answer(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        """Write the answer; False closes the connection."""
        if path == "/robots.txt":
            status, text = self.robots
            return _write(writer, status, text.encode())
        kind, _, rest = path.strip("/").partition("/")
        match kind:
            case "slow":
                await asyncio.sleep(self._slow_s)
            case "flaky" if self.asked[path] == 1:
                return _write(writer, 500, b"not yet")
            case "busy" if self.asked[path] == 1:
                return _write(writer, 429, b"later", "Retry-After: 0")
            case "known" if headers.get("if-none-match") == ETAG:
                return _write(writer, 304, b"")
            case "moved":
                return _write(writer, 302, b"", f"Location: /ok/{rest}")
            case "to":
                return _write(writer, 301, b"", f"Location: {rest}")
            case "loop":
                return _write(writer, 302, b"", f"Location: {path}")
            case "far":
                return _write(writer, 302, b"", f"Location: /far/{int(rest) + 1}")
            case "status":
                return _write(writer, int(rest.partition("/")[0]), b"no")
            case "wait":
                return _write(writer, 503, b"no", "Retry-After: 3600")
            case "page":
                return _write(writer, 200, b"<!doctype html><title>no image</title>", "Content-Type: text/html")
        return await _WAYS.get(kind, _picture)(path, writer)


async def _picture(path: str, writer: asyncio.StreamWriter) -> bool:
    kind = path.split("/")[1]
    extra = [f"ETag: {ETAG}", f"Last-Modified: {LAST_MODIFIED}", "Content-Type: image/jpeg"]
    extra += [f"X-Robots-Tag: {kind}"] if kind.startswith("no") else []
    extra += ["X-Robots-Tag: otherbot: noai"] if kind == "others" else []
    data = picture(path)
    if kind == "gzip":
        data, extra = gzip.compress(data), [*extra, "Content-Encoding: gzip"]
    if kind == "brotli":
        extra.append("Content-Encoding: br")
    return _write(writer, 200, data, *extra)


async def _cut(path: str, writer: asyncio.StreamWriter) -> bool:
    data = picture(path)
    writer.write(_head(200, f"Content-Length: {len(data) + 100}") + data)
    return False


async def _cut_chunk(path: str, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, "Transfer-Encoding: chunked") + b"ffff\r\n" + picture(path))
    return False


async def _endless(path: str, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, "Content-Type: image/jpeg", "Connection: close") + picture(path))
    for _ in range(ENDLESS_BYTES // 65_536):
        if writer.is_closing():
            break
        writer.write(bytes(65_536))
        await writer.drain()
    return False


async def _drip(path: str, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, "Content-Length: 1000"))
    while not writer.is_closing():
        writer.write(b"\xff")
        await writer.drain()
        await asyncio.sleep(0.05)
    return False


async def _silent(path: str, writer: asyncio.StreamWriter) -> bool:
    await asyncio.sleep(60)
    return False


async def _claims_much(path: str, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, f"Content-Length: {10**15}") + picture(path))
    return False


async def _bomb(path: str, writer: asyncio.StreamWriter) -> bool:
    return _write(writer, 200, _packed_zeros(), "Content-Encoding: gzip")


@lru_cache
def _packed_zeros() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()


async def _long_header(path: str, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 2**20)
    return False


async def _many_headers(path: str, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for i in range(10**6):
        if writer.is_closing():
            break
        writer.write(b"X-%d: y\r\n" % i)
        await writer.drain()
    return False


async def _garbage(path: str, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"\x00\x01SSH-2.0-nothing\r\n\r\n")
    return False


async def _reset(path: str, writer: asyncio.StreamWriter) -> bool:
    return False


_WAYS: dict[str, Callable[[str, asyncio.StreamWriter], Awaitable[bool]]] = {
    "cut": _cut,
    "cut-chunk": _cut_chunk,
    "endless": _endless,
    "drip": _drip,
    "silent": _silent,
    "claims-much": _claims_much,
    "bomb": _bomb,
    "long-header": _long_header,
    "many-headers": _many_headers,
    "garbage": _garbage,
    "reset": _reset,
}


def _write(writer: asyncio.StreamWriter, status: int, body: bytes, *headers: str) -> bool:
    body = b"" if status == 304 else body
    writer.write(_head(status, f"Content-Length: {len(body)}", *headers) + body)
    return True


def _head(status: int, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} -", *headers, "", "")).encode("latin-1")


async def _main() -> None:
    server = MisbehavingServer()
    print(await server.start(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
