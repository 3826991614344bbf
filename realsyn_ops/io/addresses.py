"""Where the fetcher may connect: http(s) addresses whose host is of the public internet, and the connection to it.

The check stands between name and socket. A name is resolved once a minute, every address it has is checked, and the
connection goes to a checked address, so a name that changes its answer in between gains nothing. What a deployment
allows on top (an intranet, a test's server) it lists by network or by HOST:PORT.
"""

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

import httpcore
import idna

from realsyn_ops.errors import PermanentError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Lookup = Callable[..., list[Any]]
"""As `socket.getaddrinfo`."""

_DNS_TTL_S = 60.0
_DNS_THREADS = 32
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?")
# Ports of other services, which browsers refuse too (the Fetch standard's "bad ports").
_BAD_PORTS = frozenset(
    (0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
     110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
     532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
     5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9200, 10080, 11211, 27017)
)  # fmt: skip
# Not told from public addresses by every `ipaddress`: protocol assignments, relays, a cloud's metadata service.
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "100.64.0.0/10", "::/96", "64:ff9b:1::/48",
                 "100::/64", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10")
)  # fmt: skip
_NAT64 = IPv6Network("64:ff9b::/96")


class RefusedAddressError(PermanentError):
    """Nothing may be fetched from this address."""


@dataclass(frozen=True, slots=True)
class Target:
    """An http(s) address taken apart: `host` in ASCII and lower case, without the brackets of IPv6."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        return self.origin + self.path


def parse_target(url: str) -> Target:
    """The parts of a fetchable address; raises RefusedAddressError for any other."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedAddressError(f"no address: {error}") from error
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise RefusedAddressError(f"neither http nor https: {scheme or 'no scheme'}")
    if parts.username is not None or parts.password is not None:
        raise RefusedAddressError("names a user")
    target = Target(scheme, _ascii_host(parts.hostname or ""), port if port is not None else _DEFAULT_PORTS[scheme],
                    _path(parts.path, parts.query))  # fmt: skip
    if target.port in _BAD_PORTS:
        raise RefusedAddressError(f"port {target.port} is another service's")
    return target


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and so is every IPv4 address that it carries inside."""
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    return not isinstance(address, IPv6Address) or _is_public_tunnel(address)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be connected to although it is not public."""

    networks: tuple[Network, ...] = ()
    places: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "Allowed":
        """From `NETWORK/BITS` or `HOST:PORT` each; raises PermanentError naming an entry that is neither."""
        networks: list[Network] = []
        places: list[tuple[str, int]] = []
        for entry in entries:
            host, _, port = entry.rpartition(":")
            if "/" in entry:
                try:
                    networks.append(ip_network(entry))
                    continue
                except ValueError as error:
                    raise PermanentError(f"REALSYN_FETCH_ALLOWED: {entry!r} is no network: {error}") from error
            if not host or not port.isdecimal():
                raise PermanentError(f"REALSYN_FETCH_ALLOWED: {entry!r} is neither NETWORK/BITS nor HOST:PORT")
            places.append((host.strip("[]").lower(), int(port)))
        return cls(tuple(networks), frozenset(places))

    def has(self, address: Address, host: str, port: int) -> bool:
        return (host, port) in self.places or any(
            address in network for network in self.networks if network.version == address.version
        )


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. Raises RefusedAddressError, or httpcore.ConnectError when nobody answers."""

    def __init__(self, allowed: Allowed, *, lookup: Lookup = socket.getaddrinfo) -> None:
        self._allowed = allowed
        self._lookup = lookup
        self._sockets = httpcore.AnyIOBackend()
        self._threads = ThreadPoolExecutor(_DNS_THREADS, thread_name_prefix="dns")
        self._known: dict[tuple[str, int], tuple[float, list[str] | Exception]] = {}
        self._asked: dict[tuple[str, int], asyncio.Lock] = {}

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
                          socket_options: Any = None) -> httpcore.AsyncNetworkStream:  # fmt: skip
        failed: Exception | None = None
        for address in await self.resolve(host, port):
            try:
                return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError("no address")

    async def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None
                                  ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        raise RefusedAddressError("a Unix socket")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of them checked. One that may not be connected to refuses the host."""
        place = (host, port)
        async with self._asked.setdefault(place, asyncio.Lock()):
            at, answer = self._known.get(place, (float("-inf"), []))
            if time.monotonic() - at > _DNS_TTL_S:
                answer = await self._look_up(host, port)
                if not isinstance(answer, httpcore.ConnectError):  # which may pass
                    self._known[place] = (time.monotonic(), answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, host: str, port: int) -> list[str] | Exception:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, lambda: self._lookup(host, port, 0, socket.SOCK_STREAM))
        except socket.gaierror as error:
            if error.errno in {socket.EAI_AGAIN, socket.EAI_FAIL}:
                return httpcore.ConnectError(f"{host}: {error.strerror}")
            return UnknownHostError(f"{host}: {error.strerror}")
        except (UnicodeError, OSError) as error:
            return UnknownHostError(f"{host}: {error}")
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        for text in addresses:
            address = ip_address(text)
            if not is_public(address) and not self._allowed.has(address, host, port):
                return RefusedAddressError(f"{host} is {address}, which is not public")
        return addresses


class UnknownHostError(PermanentError):
    """The name has no address."""


def _is_public_tunnel(address: IPv6Address) -> bool:
    inner: list[IPv4Address] = [a for a in (address.ipv4_mapped, address.sixtofour) if a is not None]
    return all(is_public(a) for a in inner)


def _ascii_host(host: str) -> str:
    if ":" in host:
        try:
            return str(IPv6Address(host.partition("%")[0]))
        except ValueError as error:
            raise RefusedAddressError(f"no host: {error}") from error
    host = unquote(host)
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except (idna.IDNAError, UnicodeError) as error:
            raise RefusedAddressError(f"no host: {error}") from error
    host = host.lower()
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise RefusedAddressError(f"no host: {host[:100]!r}")
    return host


def _path(path: str, query: str) -> str:
    whole = (path or "/") + (f"?{query}" if query else "")
    if not whole.isascii() or any(c <= " " or c == "\x7f" for c in whole):
        raise RefusedAddressError("its path is not escaped")
    return whole
