"""Connections to many sites, kept open between requests: HTTP/1.1 each for one request at a time, HTTP/2 for several.

httpcore's own pool looks at every connection of every site for each request; this one only at those of the site asked.
How many requests run at once, in all and per site, is for the caller to bound.
"""

import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpcore

KEEP_S = 15.0
MAX_KEPT = 512
"""Connections kept open, those in use among them; beyond, idle ones of the sites least recently asked are closed."""


class Connections:
    """Requests through `network`, TLS by `tls`."""

    def __init__(self, network: httpcore.AsyncNetworkBackend, tls: ssl.SSLContext) -> None:
        self._network = network
        self._tls = tls
        self._of: OrderedDict[str, list[httpcore.AsyncHTTPConnection]] = OrderedDict()
        self._n_kept = 0

    @asynccontextmanager
    async def get(
        self, url: str, headers: list[tuple[bytes, bytes]], timeouts: Mapping[str, float]
    ) -> AsyncIterator[httpcore.Response]:
        """The answer to GET, its body not yet read. Raises what httpcore raises."""
        request = httpcore.Request("GET", url, headers=_with_host(url, headers), extensions={"timeout": timeouts})
        connection, response = await self._send(request)
        try:
            yield response
        finally:
            await response.aclose()
            if connection.is_closed():
                self._drop(request.url.origin, connection)
            await self._close_idle()

    async def aclose(self) -> None:
        for kept in self._of.values():
            for connection in kept:
                await connection.aclose()
        self._of.clear()

    async def _send(self, request: httpcore.Request) -> tuple[httpcore.AsyncHTTPConnection, httpcore.Response]:
        while True:
            connection = await self._connection(request.url.origin)
            try:
                return connection, await connection.handle_async_request(request)
            except httpcore.ConnectionNotAvailable:
                continue  # it turned out to speak HTTP/1.1, or was closed by its server
            except BaseException:
                if not connection.is_available():
                    self._drop(request.url.origin, connection)
                    await connection.aclose()
                raise

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        kept = self._of.setdefault(str(origin), [])
        self._of.move_to_end(str(origin))
        for connection in list(kept):
            if connection.is_closed() or (connection.is_available() and connection.has_expired()):
                self._drop(origin, connection)
                await connection.aclose()
            elif connection.is_available():
                return connection
        connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=KEEP_S, http2=True, network_backend=self._network
        )
        kept.append(connection)
        self._n_kept += 1
        return connection

    def _drop(self, origin: Any, connection: httpcore.AsyncHTTPConnection) -> None:
        kept = self._of.get(str(origin), [])
        if connection in kept:
            kept.remove(connection)
            self._n_kept -= 1

    async def _close_idle(self) -> None:
        if self._n_kept <= MAX_KEPT:
            return
        for origin, kept in list(self._of.items()):
            for connection in [c for c in kept if c.is_idle()]:
                self._drop(origin, connection)
                await connection.aclose()
            if not kept:
                del self._of[origin]
            if self._n_kept <= MAX_KEPT // 2:
                return


def _with_host(url: str, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(b"Host", url.split("/", 3)[2].encode()), *headers]
