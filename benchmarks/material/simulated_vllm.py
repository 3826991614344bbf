"""An OpenAI-compatible server that serves no model but behaves like vLLM under load, and counts what it is asked.

``python -m benchmarks.material.simulated_vllm '{"slots": 64}'`` prints its port and serves until its standard input
ends. It batches continuously: at every step each running sequence gets a token, those that are done leave and those
that wait come in; a step takes longer the more there are. A request whose connection breaks is dropped, as vLLM does.
The first try of a part of the questions goes wrong, which one is a matter of the question. `GET /stats` says what was
asked, answered and *received*: an answer counts as received once its connection carries the next request.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

FAULTS = ("full", "error", "reset", "stall", "malformed", "cut")


@dataclass(frozen=True)
class Load:
    """``slots`` sequences at once; a step takes ``step_s`` and ``step_each_s`` for each. More than ``max_requests`` at
    once are refused (429). ``faults``: shares of the questions whose first try ends in each."""

    slots: int = 64
    step_s: float = 0.01
    step_each_s: float = 0.0001
    max_requests: int = 160
    min_tokens: int = 16
    more_tokens: int = 32
    takes_schema: bool = True
    retry_after_s: int = 1
    faults: dict[str, float] = field(default_factory=dict)

    @property
    def max_answers_per_second(self) -> float:
        """With all slots taken and no faults."""
        mean_tokens = self.min_tokens + self.more_tokens / 2
        return self.slots / (mean_tokens * (self.step_s + self.step_each_s * self.slots))


@dataclass
class Running:
    connection: "Connection"
    tokens_left: int


class Engine:
    """The batch. One token a step for each running sequence."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.running: list[Running] = []
        self.waiting: deque[Running] = deque()
        self.n_tokens = self.n_steps = 0
        self._wake = asyncio.Event()

    def add(self, sequence: Running) -> None:
        self.waiting.append(sequence)
        self._wake.set()

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            self.running = [sequence for sequence in self.running if sequence.connection.is_open]
            while self.waiting and len(self.running) < self.load.slots:
                self.running.append(self.waiting.popleft())
            if not self.running:
                self._wake.clear()
                await self._wake.wait()
                due = time.monotonic()
                continue
            due = max(due, time.monotonic() - 0.25) + self.load.step_s + self.load.step_each_s * len(self.running)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.n_steps += 1
            self.n_tokens += len(self.running)
            for sequence in self.running:
                sequence.tokens_left -= 1
                if sequence.tokens_left == 0:
                    sequence.connection.finish()
            self.running = [sequence for sequence in self.running if sequence.tokens_left]


class Server:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.engine = Engine(load)
        self.n_open = self.most_open = 0
        self.counts: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.answered: dict[str, int] = {}
        self.received: set[str] = set()
        self.first = self.last_new = self.last = 0.0
        self.by_last_new = 0

    def fault(self, key: str) -> str:
        """What becomes of this try of the question."""
        self.asked[key] += 1
        if self.asked[key] > 1:
            return ""
        place = int(key[:8], 16) / 2**32
        for kind in FAULTS:
            if place < (share := self.load.faults.get(kind, 0.0)):
                return kind
            place -= share
        return ""

    def stats(self) -> dict[str, Any]:
        return {
            "load": asdict(self.load),
            "max_answers_per_second": self.load.max_answers_per_second,
            "counts": dict(self.counts),
            "questions": len(self.asked),
            "requests": self.asked.total(),
            "answered": len(self.answered),
            "answered_again": sum(n - 1 for n in self.answered.values()),
            "received": len(self.received),
            "most_open": self.most_open,
            "n_tokens": self.engine.n_tokens,
            "n_steps": self.engine.n_steps,
            "first": self.first,
            "last_new": self.last_new,
            "answered_by_last_new": self.by_last_new,
            "last": self.last,
        }


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server = server
        self.is_open = False
        self._data = b""
        self._key = self._kind = ""
        self._n_tokens = 0
        self._body: dict[str, Any] = {}
        self._is_asked = False
        self._sent = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self.is_open = True

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._is_asked:
            self.server.n_open -= 1
            self.server.counts["dropped"] += self._kind != "stall"

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        n_bytes = int(headers.get("content-length", 0))
        if len(rest) < n_bytes:
            return
        self._data = rest[n_bytes:]
        method, path, _ = lines[0].split(" ")
        if self._sent:  # the client came back on this connection: it has what it was told
            self.server.received.add(self._sent)
            self._sent = ""
        if method == "GET":
            self._reply(200, self.server.stats())
        elif path.endswith("/chat/completions"):
            self._ask(json.loads(rest[:n_bytes]))
        else:
            self._reply(404, {"error": {"message": f"no {path}"}})

    def _ask(self, body: dict[str, Any]) -> None:
        server = self.server
        self._body = body
        self._key = hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()
        if self._key in server.received:
            server.counts["asked_though_received"] += 1
        elif self._key in server.answered:
            server.counts["asked_though_answered"] += 1
        now = time.monotonic()
        server.first = server.first or now
        if server.n_open >= server.load.max_requests:
            server.counts["429"] += 1
            self._refuse(429)
            return
        if "response_format" in body and not server.load.takes_schema:
            self._reply(400, {"error": {"message": "response_format is not supported"}})
            return
        if self._key not in server.asked:
            server.last_new, server.by_last_new = now, len(server.answered)
        self._kind = server.fault(self._key)
        server.counts[self._kind or "good"] += 1
        if self._kind == "full":
            self._refuse(429)
        elif self._kind == "error":
            self._reply(500, {"error": {"message": "the engine is in trouble"}})
        elif self._kind == "reset":
            self._transport.abort()
        else:
            self._is_asked = True
            server.n_open += 1
            server.most_open = max(server.most_open, server.n_open)
            if self._kind != "stall":
                n_tokens = server.load.min_tokens + int(self._key[-6:], 16) % (server.load.more_tokens + 1)
                self._n_tokens = max(1, n_tokens // 2) if self._kind == "cut" else n_tokens
                server.engine.add(Running(self, self._n_tokens))

    def finish(self) -> None:
        """The last token of the sequence is there."""
        server = self.server
        if not self.is_open:
            return
        self._is_asked = False
        server.n_open -= 1
        if self._kind == "malformed":
            self._send(200, b'{"id": "chatcmpl-1", "choices": [{"message": {"role": "assis')
            return
        sentence = f"Heard {self._key[:12]}."
        if self._kind == "cut":
            sentence = sentence[:-4]
        else:
            server.answered[self._key] = server.answered.get(self._key, 0) + 1
            self._sent, server.last = self._key, time.monotonic()
        content = sentence
        if "response_format" in self._body:
            content = json.dumps({"sentence": sentence})
            content = content[:-2] if self._kind == "cut" else content
        finish = "length" if self._kind == "cut" else "stop"
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
        usage = {"prompt_tokens": 400, "completion_tokens": self._n_tokens}
        self._reply(200, {"object": "chat.completion", "choices": [choice], "usage": usage})

    def _refuse(self, status: int) -> None:
        self._send(
            status, b'{"error": {"message": "too many requests"}}', f"Retry-After: {self.server.load.retry_after_s}\r\n"
        )

    def _reply(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value).encode())

    def _send(self, status: int, data: bytes, further: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n{further}\r\n"
        if self.is_open:
            self._transport.write(head.encode() + data)


async def serve(load: Load) -> None:
    server = Server(load)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1024)
    engine = asyncio.create_task(server.engine.run())
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.wait(
        {engine, asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))}, return_when="FIRST_COMPLETED"
    )
    engine.cancel()


if __name__ == "__main__":
    asyncio.run(serve(Load(**json.loads(sys.argv[1]))))
