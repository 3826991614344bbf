"""No request may send more than a picture takes: what is longer, or does not say how long it is, is not read."""

from typing import Any

MAX_BODY_BYTES = 8 * 2**20


class SmallBodies:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            length = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
            if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
                start = {"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"text/plain")]}
                await send(start)
                await send({"type": "http.response.body", "body": b"too long, or of unknown length"})
                return
        await self._app(scope, receive, send)
