"""An HTTP proxy before a real object store that answers 503 where it is told to, as S3 does under load."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@contextmanager
def refusing(port: int, refuses: Callable[[str, str], bool]) -> Iterator[str]:
    """The address of a proxy to a port of this machine, which refuses some (method, path)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if refuses(self.command, self.path):
                self.answer(503, [("Content-Type", "application/xml")], SLOW_DOWN)
                return
            to = http.client.HTTPConnection("127.0.0.1", port)
            to.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                to.putheader(name, value)
            to.endheaders(body)
            response = to.getresponse()
            content = response.read()
            length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            kept = [(n, v) for n, v in response.getheaders() if n.lower() not in _OF_A_HOP]
            self.answer(response.status, [*kept, *([("Content-Length", length)] if length else [])], content)
            to.close()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = forward  # noqa: N815

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if not any(name == "Content-Length" for name, _ in headers):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_OF_A_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
