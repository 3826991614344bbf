"""Connections to many sites, kept open between requests: HTTP/1.1 each for one request at a time, HTTP/2 for several.

httpcore's own pool looks at every connection of every site for each request; this one only at those of the site asked.
How many requests run at once, in all and per site, is for the caller to bound.
"""

import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore

KEEP_S = 15.0
MAX_KEPT = 512
"""Connections kept open, those in use among them; beyond, idle ones of the sites least recently asked are closed."""


@dataclass(slots=True, eq=False)
class _Kept:
    """A connection, how many requests are on it, and whether it can take several: None until it is known."""

    connection: httpcore.AsyncHTTPConnection
    is_shared: bool | None
    n_requests: int = 0

    @property
    def is_free(self) -> bool:
        return (self.n_requests == 0 or self.is_shared is not False) and self.connection.is_available()


class Connections:
    """Requests through `network`, TLS by `tls`."""

    def __init__(self, network: httpcore.AsyncNetworkBackend, tls: ssl.SSLContext) -> None:
        self._network = network
        self._tls = tls
        self._of: OrderedDict[str, list[_Kept]] = OrderedDict()
        self._n_kept = 0

    @asynccontextmanager
    async def get(
        self, url: str, headers: list[tuple[bytes, bytes]], timeouts: Mapping[str, float]
    ) -> AsyncIterator[httpcore.Response]:
        """The answer to GET, its body not yet read. Raises what httpcore raises."""
        site = "/".join(url.split("/", 3)[:3])
        host = [(b"Host", site.partition("//")[2].encode())]
        request = httpcore.Request("GET", url, headers=host + headers, extensions={"timeout": timeouts})
        while True:
            kept = await self._connection(site, request.url.origin)
            kept.n_requests += 1
            try:
                response = await kept.connection.handle_async_request(request)
                kept.is_shared = response.extensions.get("http_version") == b"HTTP/2"
                try:
                    yield response
                finally:
                    await response.aclose()
                return
            except httpcore.ConnectionNotAvailable:
                kept.is_shared = False  # it turned out to speak HTTP/1.1, or its server closed it
            finally:
                kept.n_requests -= 1
                if kept.n_requests == 0 and not kept.connection.is_idle():
                    await self._close(site, kept)
                await self._close_idle()

    async def aclose(self) -> None:
        for kept in self._of.values():
            for one in kept:
                await one.connection.aclose()
        self._of.clear()

    async def _connection(self, site: str, origin: httpcore.Origin) -> _Kept:
        kept = self._of.setdefault(site, [])
        self._of.move_to_end(site)
        for one in [one for one in kept if one.is_free]:
            if not one.connection.has_expired():
                return one
            if one.n_requests == 0:
                await self._close(site, one)
        connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=KEEP_S, http2=True, network_backend=self._network
        )
        kept.append(_Kept(connection, None if site.startswith("https:") else False))
        self._n_kept += 1
        return kept[-1]

    async def _close(self, site: str, one: _Kept) -> None:
        if one in self._of.get(site, ()):
            self._of[site].remove(one)
            self._n_kept -= 1
        await one.connection.aclose()

    async def _close_idle(self) -> None:
        if self._n_kept <= MAX_KEPT:
            return
        for site, kept in list(self._of.items()):
            for one in [one for one in kept if one.n_requests == 0]:
                await self._close(site, one)
            if not kept:
                del self._of[site]
            if self._n_kept <= MAX_KEPT // 2:
                return
