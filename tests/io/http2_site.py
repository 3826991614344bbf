"""A small HTTP/2 server over TLS: every stream is answered with the image of its path; connections are counted."""

import asyncio

import h2.config
import h2.connection
import h2.events

from tests.io.misbehaving import MisbehavingServer, picture


class Http2Server(MisbehavingServer):
    """Answers what has been asked whenever nothing more comes, so that streams really overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.n_connections = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        asked: dict[int, str] = {}
        while not writer.is_closing():
            writer.write(connection.data_to_send())
            await writer.drain()
            try:
                data = await asyncio.wait_for(reader.read(65_536), 0.05)
            except TimeoutError:
                self.most_open = max(self.most_open, len(asked))
                for stream, path in asked.items():
                    self._respond(connection, stream, path)
                asked = {}
                continue
            if not data:
                break
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    path = dict(event.headers or [])[":path"]
                    self.asked[str(path)] += 1
                    asked[event.stream_id or 0] = str(path)
        writer.close()

    @staticmethod
    def _respond(connection: h2.connection.H2Connection, stream: int, path: str) -> None:
        if path == "/robots.txt":
            connection.send_headers(stream, [(":status", "404")], end_stream=True)
            return
        connection.send_headers(stream, [(":status", "200"), ("content-type", "image/jpeg")])
        connection.send_data(stream, picture(path), end_stream=True)
