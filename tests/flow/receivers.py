"""Where the tests' Airflow reports to: lineage and calls of the webhook over HTTP, metrics over UDP."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receivers:
    """Real sockets on loopback; what came is in ``events``, ``calls`` and ``packets``."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.packets: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        for listen in (self._http.serve_forever, self._receive):
            threading.Thread(target=listen, daemon=True).start()

    @property
    def variables(self) -> dict[str, str]:
        """What makes an Airflow report here."""
        url = f"http://127.0.0.1:{self._http.server_port}"
        return {
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": url, "endpoint": "lineage"}),
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._udp.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            "AIRFLOW_CONN_REALSYN_WEBHOOK": f"{url}/webhook",
            "REALSYN_WEBHOOK_CONN_ID": "realsyn_webhook",
        }

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._udp.close()

    def _receive(self) -> None:
        while True:
            try:
                data = self._udp.recv(65_536)
            except OSError:
                return
            self.packets += data.decode().splitlines()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        events, calls = self.events, self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                (events if self.path == "/lineage" else calls).append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing: the tests read what came."""

        return Handler
