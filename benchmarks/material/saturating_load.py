"""As much as a server of chat completions can give: connections that send the next request whatever came back.

``python -m benchmarks.material.saturating_load URL CONNECTIONS SECONDS`` prints good answers a second, from the time
the server is warm. Nothing is asked again, kept or waited for: a bound for any client.
"""

import asyncio
import itertools
import json
import sys
import time
from urllib.parse import urlsplit

from benchmarks.material.serving import numbered_merges
from realsyn_ops.kinds import Question
from realsyn_ops.models.prompt import prompt_messages, question_messages

WARM_S, STALLED_S, REFUSED_S = 5.0, 5.0, 0.05


class Load:
    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._numbers = itertools.count(10**6)
        self.good_at: list[float] = []

    async def connection(self) -> None:
        writer = None
        while True:
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(self._target.hostname, self._target.port)
                writer.write(self._request())
                async with asyncio.timeout(STALLED_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    n_bytes = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    body = await reader.readexactly(n_bytes)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                if writer is not None:
                    writer.close()
                writer = None
                continue
            if b"429" in head[:20]:
                await asyncio.sleep(REFUSED_S)
            elif b"200" in head[:20] and b'"stop"' in body and body.endswith(b"}"):
                self.good_at.append(time.monotonic())

    def _request(self) -> bytes:
        [merge] = numbered_merges(1, first=next(self._numbers))
        messages = [*prompt_messages(), *question_messages(Question(merge))]
        body = json.dumps({"model": "m", "messages": messages, "temperature": 0, "max_tokens": 160}).encode()
        head = f"POST {self._target.path}/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


async def main(url: str, n_connections: int, seconds: float) -> None:
    load = Load(url)
    started = time.monotonic()
    tasks = [asyncio.create_task(load.connection()) for _ in range(n_connections)]
    await asyncio.wait(tasks, timeout=seconds)
    ended = time.monotonic()
    for task in tasks:
        task.cancel()
    n_warm = sum(at >= started + WARM_S for at in load.good_at)
    print(json.dumps({"answers_per_second": n_warm / (ended - started - WARM_S)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
