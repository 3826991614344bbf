"""Many chat completions at once, over one or several endpoints: each comes to an answer, a refusal or an error.

A request's place is taken by the next one as soon as its answer is kept, so a server that batches never runs dry, and
an endpoint that sees a place used again knows that the answer before is safe. Answers go to ``keep`` in groups: those
that arrived while the last group was written. Each place has a connection of its own; a pool would look through all of
them at every request.
"""

import asyncio
import json
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.kinds import Answer, Keep
from realsyn_ops.models.chat_endpoint import Endpoint, Limits
from realsyn_ops.models.chat_reply import Kind, Reply, lost, read_reply

Body = dict[str, Any]
_CONNECT_S = 10.0
_ROOM_FOR_CUT = 2
"""A cut answer is asked for once more with so many times its tokens."""


class ChatClient:
    """The endpoints of one model. ``schema`` is the `response_format` for those that take one."""

    def __init__(self, urls: Sequence[str], *, api_key: str, limits: Limits, schema: Body | None = None) -> None:
        self.endpoints = [Endpoint(f"{url.rstrip('/')}/chat/completions", limits) for url in urls]
        self.limits = limits
        self.schema = schema
        self.headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {api_key}"} if api_key else {}
        )
        self.tls = ssl.create_default_context()

    def ask(self, make: Callable[[int], Body], n_questions: int, keep: Keep) -> list[Answer]:
        """The answers to the requests ``make(0)``, ``make(1)``, ..., in that order; a request is made when it is sent.

        Raises PermanentError where the endpoint takes nobody's request, or none of the first; TransientError where more
        than the limits' share of the questions came to no answer. What was answered till then is kept.
        """
        return asyncio.run(_Call(self, make, n_questions, keep).run()) if n_questions else []


@dataclass
class _Open:
    """A question without an answer, and what its tries have cost."""

    place: int
    n_tries: int = 0
    is_plain: bool = False
    is_cut: bool = False
    avoid: Endpoint | None = None
    spent: Answer = field(default_factory=lambda: Answer(""))


class _Call:
    def __init__(self, client: ChatClient, make: Callable[[int], Body], n_questions: int, keep: Keep) -> None:
        self._client = client
        self._limits = client.limits
        self._make = make
        self._keep = keep
        self._ready = deque(_Open(place) for place in range(n_questions))
        self._answers: list[Answer | None] = [None] * n_questions
        self._n_left = n_questions
        self._n_unanswered = {"refused": 0, "failed": 0}
        self._arrived: list[tuple[int, Answer, asyncio.Future[None]]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._error: BaseException | None = None

    async def run(self) -> list[Answer]:
        try:
            while self._n_left and self._error is None:
                self._send()
                await self._changed.wait()
                self._changed.clear()
            if self._error is not None:
                raise self._error
            return [answer for answer in self._answers if answer is not None]
        finally:
            await self._close()

    def _send(self) -> None:
        """Fill every place there is."""
        now = time.monotonic()
        pauses = [endpoint.paused_until - now for endpoint in self._client.endpoints if endpoint.paused_until > now]
        if pauses:
            asyncio.get_running_loop().call_later(min(pauses) + 0.001, self._changed.set)
        for _ in range(len(self._ready)):
            endpoints = [endpoint for endpoint in self._client.endpoints if endpoint.has_room(now)]
            if not endpoints:
                return
            open_ = self._ready.popleft()
            others = [endpoint for endpoint in endpoints if endpoint is not open_.avoid]
            if not others and len(self._client.endpoints) > 1:  # it waits for another one than failed it
                self._ready.append(open_)
                continue
            endpoint = min(others or endpoints, key=lambda e: e.load)
            endpoint.n_open += 1
            task = asyncio.create_task(self._serve(endpoint, open_))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
        self._changed.set()

    async def _serve(self, endpoint: Endpoint, open_: _Open) -> None:
        line = endpoint.idle.pop() if endpoint.idle else self._line()
        try:
            started = time.monotonic()
            has_schema = bool(self._client.schema) and endpoint.takes_schema and not open_.is_plain
            reply, n_sent = await self._request(line, endpoint, open_, has_schema=has_schema)
            now = time.monotonic()
            open_.n_tries += 1
            spent = open_.spent
            open_.spent = Answer(
                reply.text, "length" if reply.is_cut else "stop",
                spent.n_prompt_tokens + reply.n_prompt_tokens, spent.n_answer_tokens + reply.n_answer_tokens,
                spent.n_bytes + n_sent + reply.n_bytes,
            )  # fmt: skip
            if reply.kind is Kind.ANSWER:
                endpoint.answered(now - started, now)
                endpoint.takes_schema &= not open_.is_plain
                if reply.is_cut and not open_.is_cut and open_.n_tries < self._limits.n_tries:
                    open_.is_cut = True
                    self._ready.appendleft(open_)
                else:
                    await self._received(open_)
            elif reply.kind is Kind.REFUSED and has_schema:
                open_.is_plain = True
                self._ready.appendleft(open_)
            else:
                self._not_answered(endpoint, open_, reply, now)
        finally:
            endpoint.n_open -= 1
            endpoint.idle.append(line)

    async def _request(
        self, line: httpx.AsyncClient, endpoint: Endpoint, open_: _Open, *, has_schema: bool
    ) -> tuple[Reply, int]:
        body = self._make(open_.place)
        if open_.is_cut:
            body["max_tokens"] *= _ROOM_FOR_CUT
        if has_schema:
            body["response_format"] = self._client.schema
        data = json.dumps(body, ensure_ascii=False).encode()
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                return read_reply(await line.post(endpoint.url, content=data)), len(data)
        except (TimeoutError, httpx.HTTPError) as error:
            return lost(error), len(data)

    def _not_answered(self, endpoint: Endpoint, open_: _Open, reply: Reply, now: float) -> None:
        """Try again later, or give the question up. Raises what nobody's question survives."""
        where = f"{endpoint.url} {'refused the request: ' if reply.kind in _REFUSALS else ''}{reply.detail}"
        if reply.kind is Kind.CLOSED:
            raise PermanentError(where)
        if reply.kind is Kind.REFUSED:
            self._give_up(open_, "refused", where)
            return
        wait_s = max(reply.wait_s, self._limits.backoff_s * 2 ** (open_.n_tries - 1) * random.uniform(0.8, 1.2))  # noqa: S311
        wait_s = min(wait_s, self._limits.max_wait_s)
        if reply.kind is Kind.FULL:
            endpoint.refused(wait_s, now)
        else:
            endpoint.failed(wait_s, now)
        if open_.n_tries < self._limits.n_tries:
            open_.avoid = endpoint
            asyncio.get_running_loop().call_later(wait_s, self._again, open_)
        elif reply.kind is Kind.MALFORMED and not self._n_answers:
            raise PermanentError(where)
        else:
            self._give_up(
                open_, "failed", f"{endpoint.url} gave no answer in {open_.n_tries} tries; the last: {reply.detail}"
            )

    def _again(self, open_: _Open) -> None:
        self._ready.append(open_)
        self._changed.set()

    def _give_up(self, open_: _Open, finish: str, detail: str) -> None:
        """The question has no answer. Where too many have none it is the endpoint's fault."""
        self._n_unanswered[finish] += 1
        n_refused, n_failed = self._n_unanswered.values()
        if not self._n_answers and n_refused >= min(self._limits.n_tries, len(self._answers)):
            raise PermanentError(detail)
        if n_failed > self._limits.max_failed_share * len(self._answers):
            raise TransientError(f"{n_failed} of {len(self._answers)} questions: {detail}")
        self._answers[open_.place] = Answer("", finish, detail=detail)
        self._n_left -= 1

    async def _received(self, open_: _Open) -> None:
        """Have the answer kept; returns when it is."""
        kept = asyncio.get_running_loop().create_future()
        self._arrived.append((open_.place, open_.spent, kept))
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_arrived())
        await kept
        self._answers[open_.place] = open_.spent
        self._n_left -= 1

    async def _keep_arrived(self) -> None:
        while self._arrived:
            group, self._arrived = self._arrived, []
            try:
                await asyncio.to_thread(self._keep, [(place, answer) for place, answer, _ in group])
            except Exception as error:  # noqa: BLE001 - it ends the call
                self._error = self._error or error
                self._changed.set()
            for _, _, kept in group:
                if not kept.done():
                    kept.set_result(None)
        self._keeping = None

    @property
    def _n_answers(self) -> int:
        return sum(endpoint.n_answers for endpoint in self._client.endpoints)

    def _line(self) -> httpx.AsyncClient:
        """A client with one connection."""
        return httpx.AsyncClient(
            headers=self._client.headers,
            verify=self._client.tls,
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=None),
        )

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._keeping is not None:
            await self._keeping
        for endpoint in self._client.endpoints:
            await asyncio.gather(*(line.aclose() for line in endpoint.idle), return_exceptions=True)
            endpoint.idle.clear()
            endpoint.n_open = 0


_REFUSALS = frozenset({Kind.REFUSED, Kind.CLOSED})
