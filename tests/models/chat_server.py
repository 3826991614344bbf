"""A local server of chat completions that does what a test tells it to, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]
SILENCE = 0


def said(text: str, *, finish: str = "stop") -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}).encode()


class ChatServer(ThreadingHTTPServer):
    """Answers each request with the next of `statuses` (200 when they run out); 0 is silence until the test ends.
    `reply`, where it is set, decides instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.statuses: list[int] = []
        self.answer: bytes | None = None
        self.reply: Callable[[dict[str, Any]], Reply] | None = None
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.pause_s = 0.02
        self.n_open = self.most_open = 0


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append((self.path, self.headers["Authorization"], body))
            status = server.statuses.pop(0) if server.statuses else 200
            server.n_open += 1
            server.most_open = max(server.most_open, server.n_open)
        status, data, *further = server.reply(body) if server.reply else (status, self.usual(status, body))
        if status == SILENCE:
            server.ended.wait(20)
            self.close_connection = True
            return
        server.ended.wait(server.pause_s)
        with server.lock:
            server.n_open -= 1
        self.send_response(status)
        headers = {**server.headers, **(further[0] if further else {})} if status != 200 else {}
        plain = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        for name, value in {**headers, **plain}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def usual(self, status: int, body: dict[str, Any]) -> bytes:
        if status != 200:
            return b'{"error": {"message": "model nobody is not served"}}'
        content = body["messages"][-1]["content"]
        return self.server.answer or said(f"Heard: {content.splitlines()[0] if isinstance(content, str) else content}")

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
