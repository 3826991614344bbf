"""What sites ask of crawlers: robots.txt before an address is fetched, X-Robots-Tag on what came back.

Both fail closed: a site whose robots.txt does not answer is not fetched from. A site without one may be (RFC 9309).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from protego import Protego

MAX_BYTES = 512 * 2**10
NO_USE = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""Directives of X-Robots-Tag under which an image is not used."""

_CLOSED = frozenset({401, 403, 429})


class Robots:
    """The robots.txt of every site met, each asked for once.

    `get(origin)` answers with status and body, None where the site did not answer.
    """

    def __init__(self, user_agent: str, get: Callable[[str], Awaitable[tuple[int, bytes] | None]]) -> None:
        self._user_agent = user_agent
        self._get = get
        self._rules: dict[str, asyncio.Future[Protego | str]] = {}

    async def refusal(self, origin: str, url: str) -> str:
        """Why `url` may not be fetched; empty when it may."""
        if origin not in self._rules:
            self._rules[origin] = asyncio.ensure_future(self._ask(origin))
        rules = await asyncio.shield(self._rules[origin])
        if isinstance(rules, str):
            return rules
        return "" if rules.can_fetch(url, product(self._user_agent)) else "robots.txt says no"

    async def _ask(self, origin: str) -> Protego | str:
        answer = await self._get(origin)
        if answer is None:
            return "robots.txt did not answer"
        status, body = answer
        if 200 <= status < 300:
            return Protego.parse(body[:MAX_BYTES].decode("utf-8", "replace"))
        if status >= 500 or status in _CLOSED:
            return f"robots.txt answered {status}"
        return Protego.parse("")


def product(user_agent: str) -> str:
    """The name that robots.txt calls a crawler by: what stands before the version."""
    return user_agent.partition("/")[0].strip()


def tag_refusal(tags: Iterable[str], user_agent: str) -> str:
    """The directive of X-Robots-Tag headers that forbids use; empty when none does.

    A directive after `name:` is meant for that crawler alone, and so are those that follow it in the same header.
    """
    own = product(user_agent).lower()
    for tag in tags:
        is_ours = True
        for part in tag.lower().split(","):
            name, colon, directive = part.partition(":")
            if colon and name.strip() not in {"unavailable_after", "max-snippet", "max-image-preview"}:
                is_ours, part = name.strip() in {own, "*"}, directive
            if is_ours and (found := part.strip()) in NO_USE:
                return found
    return ""
