"""Headers of every answer: a browser runs, loads and frames nothing but our own, and keeps nothing unasked."""

from typing import Any

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'self'; base-uri 'none'"
)
_HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"SAMEORIGIN",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"private, no-store",
}


class SafeHeaders:
    """Sets them on whatever is answered, errors too; only how long it may be kept is for a route to say."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = dict(message["headers"])
                keeps = {b"cache-control": given[b"cache-control"]} if b"cache-control" in given else {}
                message["headers"] = [*((n, v) for n, v in given.items() if n not in _HEADERS),
                                      *(_HEADERS | keeps).items()]  # fmt: skip
            await send(message)

        await self._app(scope, receive, send_safely)
