"""Images from the web: many addresses at once, each answered with bytes or with the reason why not, as answers come.

Safe by construction: every connection goes through `addresses`, at the first request and at every redirect; sites are
asked first (`robots`); time, bytes, redirects and tries are bounded, and so are the bytes held until they are taken.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from itertools import islice
from socket import getaddrinfo
from types import MappingProxyType
from urllib.parse import quote, urljoin

import certifi
import httpcore

from realsyn_ops.io.addresses import (
    Allowed,
    CheckedNetwork,
    Lookup,
    RefusedAddressError,
    Target,
    UnknownHostError,
    parse_target,
)
from realsyn_ops.io.connections import Connections
from realsyn_ops.io.fetch_answers import (
    AGAIN,
    MAX_WAIT_S,
    FailedError,
    Fetched,
    FetchLimits,
    FetchPolicy,
    Known,
    decoded,
    status_error,
    too_large,
)
from realsyn_ops.io.held_bytes import HeldBytes
from realsyn_ops.io.robots import MAX_BYTES, Robots, tag_refusal
from realsyn_ops.records import Reason, image_key

__all__ = ["FetchLimits", "FetchPolicy", "Fetched", "Known", "fetch_images"]

WINDOW = 5_000
"""Addresses under way, most of them waiting for their site's turn."""

_SAFE = "%/:=&?~#+!$,;'@()*[]|"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WAIT_S = 0.5
_ACCEPT = "image/avif,image/webp,image/png,image/jpeg,image/gif;q=0.9,*/*;q=0.1"


def fetch_images(
    urls: Sequence[str],
    *,
    limits: FetchLimits,
    policy: FetchPolicy,
    known: Mapping[str, Known] = MappingProxyType({}),
    lookup: Lookup = getaddrinfo,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Fetched]:
    """One answer for each address, in the order in which servers give them. Nothing is raised for an address.

    `tls` replaces the context that trusts the usual authorities.
    """
    loop = asyncio.new_event_loop()
    client = _Client(limits, policy, known, lookup, tls or ssl.create_default_context(cafile=certifi.where()))
    waiting = enumerate(urls)
    tasks: set[asyncio.Task[None]] = set()
    try:
        while True:
            for place, url in islice(waiting, WINDOW - len(tasks)):
                task = loop.create_task(client.answer(place, url))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if not tasks and client.is_drained:
                return
            yield from loop.run_until_complete(client.take())
    finally:
        loop.run_until_complete(client.close(list(tasks)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class _Client:
    def __init__(
        self, limits: FetchLimits, policy: FetchPolicy, known: Mapping[str, Known], lookup: Lookup, tls: ssl.SSLContext
    ) -> None:
        self._limits = limits
        self._policy = policy
        self._known = known
        self._domains = tuple(domain.lower().strip(".") for domain in policy.opt_out_domains)
        self._keys = frozenset(policy.opt_out_keys)
        self._network = CheckedNetwork(Allowed.parse(policy.allowed), lookup=lookup)
        self._connections = Connections(self._network, tls)
        self._slots = asyncio.Semaphore(limits.max_connections)
        self._hosts: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(limits.max_per_host))
        self._held = HeldBytes(limits.max_held_bytes)
        self._answered: asyncio.Queue[Fetched] = asyncio.Queue()
        self._robots = Robots(policy.user_agent, self._robots_txt)

    @property
    def is_drained(self) -> bool:
        return self._answered.empty()

    async def take(self) -> list[Fetched]:
        """The answers that are there, at least one."""
        answers = [await self._answered.get()]
        while not self._answered.empty():
            answers.append(self._answered.get_nowait())
        await self._held.free(sum(len(answer.data or b"") for answer in answers))
        return answers

    async def answer(self, place: int, url: str) -> None:
        fetched = await self._fetch(place, url)
        await self._held.end(place, len(fetched.data or b""))
        self._answered.put_nowait(fetched)

    async def close(self, tasks: "list[asyncio.Task[None]]") -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connections.aclose()
        self._network.close()

    async def _fetch(self, place: int, url: str) -> Fetched:
        """The answer after as many tries as may help."""
        for n_tries in range(1, self._limits.max_tries + 1):
            try:
                fetched = await self._try(place, url)
                return replace(fetched, n_tries=n_tries)
            except FailedError as error:
                await self._held.end(place, 0)
                if error.is_final or n_tries == self._limits.max_tries or error.wait_s > MAX_WAIT_S:
                    return Fetched(
                        url=url, reason=error.reason, detail=error.detail[:500], status=error.status, n_tries=n_tries
                    )
                await asyncio.sleep(max(error.wait_s, _WAIT_S * 2 ** (n_tries - 1)))
        raise AssertionError("unreachable: the last try returns")

    async def _try(self, place: int, url: str) -> Fetched:
        """Follow redirects to an image. Raises FailedError."""
        headers = self._conditions(url)
        target, seen = _target(url), set[str]()
        for _ in range(self._limits.max_redirects + 1):
            if target.url in seen:
                raise FailedError(Reason.FETCH_REDIRECTS, f"redirected in a circle: {target.url}", is_final=True)
            seen.add(target.url)
            await self._check_asked(target)
            async with self._answer(target, headers) as (response, deadline):
                status, location = response.status, _header(response, b"location")
                if status in _REDIRECTS and location:
                    target = _redirected(target, location)
                    continue
                return await self._image(place, url, target, response, deadline)
        raise FailedError(
            Reason.FETCH_REDIRECTS, f"more than {self._limits.max_redirects} redirects, at last to {target.url}",
            is_final=True,
        )  # fmt: skip

    async def _image(
        self, place: int, url: str, target: Target, response: httpcore.Response, deadline: asyncio.Timeout
    ) -> Fetched:
        status = response.status
        if status == HTTPStatus.NOT_MODIFIED and url in self._known:
            return Fetched(url=url, final_url=target.url, status=status, is_unchanged=True)
        if status != HTTPStatus.OK:
            raise status_error(status, _header(response, b"retry-after"))
        tags = [value.decode("latin-1") for name, value in response.headers if name.lower() == b"x-robots-tag"]
        if refusal := tag_refusal(tags, self._policy.user_agent):
            raise FailedError(Reason.FETCH_ROBOTS, f"X-Robots-Tag: {refusal}", status=status, is_final=True)
        data = await self._body(place, response, deadline)
        if image_key(data) in self._keys:
            raise FailedError(Reason.FETCH_OPT_OUT, "its key is on the opt-out list", status=status, is_final=True)
        return Fetched(
            url=url,
            final_url=target.url,
            data=data,
            status=status,
            etag=_header(response, b"etag")[:500],
            last_modified=_header(response, b"last-modified")[:500],
        )

    async def _body(self, place: int, response: httpcore.Response, deadline: asyncio.Timeout) -> bytes:
        limit = self._limits.max_bytes
        said = _header(response, b"content-length")
        if said.isdecimal() and int(said) > limit:
            raise too_large(limit, response.status)
        chunks: list[bytes] = []
        n_bytes = 0
        async for chunk in response.aiter_stream():
            n_bytes += len(chunk)
            if n_bytes > limit:
                raise too_large(limit, response.status)
            waited = await self._held.add(place, len(chunk))
            if waited > 0.01 and (when := deadline.when()) is not None:
                deadline.reschedule(when + waited)
            chunks.append(chunk)
        return decoded(b"".join(chunks), _header(response, b"content-encoding"), limit, response.status)

    @asynccontextmanager
    async def _answer(
        self, target: Target, headers: list[tuple[bytes, bytes]]
    ) -> AsyncIterator[tuple[httpcore.Response, asyncio.Timeout]]:
        """One request. What the network does wrong becomes FailedError."""
        limits = self._limits
        timeouts = {"connect": limits.connect_timeout_s, "read": limits.timeout_s, "write": limits.timeout_s}
        async with self._hosts[target.origin], self._slots:
            try:
                async with (
                    asyncio.timeout(limits.timeout_s) as deadline,
                    self._connections.get(target.url, headers, timeouts) as response,
                ):
                    yield response, deadline
            except RefusedAddressError as error:
                raise FailedError(Reason.FETCH_ADDRESS, str(error), is_final=True) from error
            except UnknownHostError as error:
                raise FailedError(Reason.FETCH_NOT_FOUND, str(error), is_final=True) from error
            except (TimeoutError, httpcore.TimeoutException) as error:
                raise FailedError(Reason.FETCH_FAILED, f"no answer within {limits.timeout_s:g} s") from error
            except httpcore.RemoteProtocolError as error:
                reason = Reason.FETCH_TRUNCATED if "body" in str(error) else Reason.FETCH_FAILED
                raise FailedError(reason, str(error)) from error
            except httpcore.ConnectError as error:
                is_final = isinstance(error.__cause__ or error.__context__, ssl.SSLError) or "SSL" in str(error)
                raise FailedError(Reason.FETCH_FAILED, str(error) or "cannot connect", is_final=is_final) from error
            except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
                raise FailedError(Reason.FETCH_FAILED, f"{type(error).__name__}: {error}") from error

    async def _check_asked(self, target: Target) -> None:
        if any(target.host == domain or target.host.endswith("." + domain) for domain in self._domains):
            raise FailedError(Reason.FETCH_OPT_OUT, f"{target.host} is on the opt-out list", is_final=True)
        try:
            await self._network.resolve(target.host, target.port)
        except RefusedAddressError as error:
            raise FailedError(Reason.FETCH_ADDRESS, str(error), is_final=True) from error
        except UnknownHostError as error:
            raise FailedError(Reason.FETCH_NOT_FOUND, str(error), is_final=True) from error
        except httpcore.ConnectError as error:
            raise FailedError(Reason.FETCH_FAILED, str(error)) from error
        if refusal := await self._robots.refusal(target.origin, target.url):
            raise FailedError(Reason.FETCH_ROBOTS, f"{refusal}: {target.origin}", is_final=True)

    async def _robots_txt(self, origin: str) -> tuple[int, bytes] | None:
        headers = [*self._plain_headers(), (b"Accept", b"text/plain,*/*;q=0.5")]
        for n_tries in range(1, self._limits.max_tries + 1):
            target = parse_target(f"{origin}/robots.txt")
            try:
                for _ in range(self._limits.max_redirects + 1):
                    async with self._answer(target, headers) as (response, _deadline):
                        if response.status in _REDIRECTS and (location := _header(response, b"location")):
                            target = _redirected(target, location)
                            continue
                        if response.status not in AGAIN or n_tries == self._limits.max_tries:
                            return response.status, await _first_bytes(response, MAX_BYTES)
                        break
                else:
                    return HTTPStatus.NOT_FOUND, b""
            except FailedError as error:
                if error.is_final:
                    return None
            await asyncio.sleep(_WAIT_S * 2 ** (n_tries - 1))
        return None

    def _conditions(self, url: str) -> list[tuple[bytes, bytes]]:
        headers = [*self._plain_headers(), (b"Accept", _ACCEPT.encode())]
        if known := self._known.get(url):
            conditions = ((b"If-None-Match", known.etag), (b"If-Modified-Since", known.last_modified))
            headers += [(name, value.encode("latin-1", "replace")) for name, value in conditions if value]
        return headers

    def _plain_headers(self) -> list[tuple[bytes, bytes]]:
        user_agent = self._policy.user_agent.encode("latin-1", "replace")
        return [(b"User-Agent", user_agent), (b"Accept-Encoding", b"identity")]


def _target(url: str) -> Target:
    try:
        return parse_target(url)
    except RefusedAddressError as error:
        raise FailedError(Reason.FETCH_ADDRESS, str(error), is_final=True) from error


def _redirected(target: Target, location: str) -> Target:
    try:
        return parse_target(quote(urljoin(target.url, location).partition("#")[0], safe=_SAFE))
    except (RefusedAddressError, ValueError) as error:
        raise FailedError(Reason.FETCH_ADDRESS, f"redirected to {location[:200]}: {error}", is_final=True) from error


async def _first_bytes(response: httpcore.Response, n_bytes: int) -> bytes:
    data = b""
    async for chunk in response.aiter_stream():
        data += chunk
        if len(data) >= n_bytes:
            break
    return data[:n_bytes]


def _header(response: httpcore.Response, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in response.headers if name.lower() == wanted), "")
