"""The gallery's API under many readers, over HTTP against the real app in Airflow's own API server.

Cards come from a generator straight into the index's own writer; how long an index takes out of the tables is measured
on a smaller corpus. Readers ask without a pause: pages at any depth, filters, words frequent and rare, all mixed.
"""

import asyncio
import json
import random
import statistics
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
from rich.console import Console

from benchmarks.material.many_pairs import SOURCES, ManyPairs
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.page_server import page_server, sign_in
from realsyn_ops.cli.services import Stack
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.page.gallery_index import state_of, write_index

SUMMARY = "the page's gallery: pages, filters and words on a million pairs, twenty readers at once"
_KINDS = ("page", "filter", "words")


def measure(
    home: Path, console: Console, *, pairs: int = 1_000_000, readers: int = 20, requests: int = 2_000
) -> Measurement:
    """Checks the median and the 95th percentile of each kind of request, and that every answer was one."""
    with TemporaryDirectory(dir=home, prefix="bench-gallery-") as scratch:
        stack = Stack(Path(scratch))
        stack.up_store()
        try:
            material = ManyPairs(pairs)
            folder = Path(scratch) / "gallery"
            path = folder / stack.bucket_name / "1.sqlite"
            started = time.monotonic()
            write_index(path, state_of(Corpus(stack.bucket)), material.cards(), list(SOURCES), n_rows=pairs)
            written = time.monotonic() - started
            console.print(f"index of {pairs:,} pairs: {path.stat().st_size / 1e6:.0f} MB", highlight=False)
            with page_server(stack, gallery_folder=folder) as url:
                token = sign_in(url, "viewer", stack.endpoints.admin_password)
                _warm(url, token)
                taken, n_failed, seconds = asyncio.run(_read(url, token, material, readers, requests))
                peak = _peak_bytes(stack)
        finally:
            stack.down()
        n_bytes = path.stat().st_size
    every = [one for kind in _KINDS for one in taken[kind]]
    figures: dict[str, Any] = {
        kind: {"requests": len(of), "median ms": round(_at(of, 0.5), 1), "p95 ms": round(_at(of, 0.95), 1),
               "p99 ms": round(_at(of, 0.99), 1)}
        for kind, of in ((*taken.items(), ("all", every)))
    }  # fmt: skip
    figures["requests a second"] = round(len(every) / seconds, 1)
    figures["index MB"] = round(n_bytes / 1e6)
    figures["seconds to write the index"] = round(written, 1)
    figures["peak memory of the API server (MB, mapped pages of the index among them)"] = round(peak / 2**20)
    checks = [Check("answers that were none", n_failed, "<=", 0)]
    for kind in _KINDS:
        checks += [
            Check(f"{kind}: median ms", _at(taken[kind], 0.5), "<=", 100),
            Check(f"{kind}: p95 ms", _at(taken[kind], 0.95), "<=", 300),
        ]
    return Measurement(f"{pairs:,} pairs, {readers} readers without a pause", figures, checks)


async def _read(
    url: str, token: str, material: ManyPairs, n_readers: int, n_requests: int
) -> tuple[dict[str, list[float]], int, float]:
    """Milliseconds of each request by kind, how many failed, and the seconds of the whole."""
    taken: dict[str, list[float]] = defaultdict(list)
    failed = 0

    async def reader(number: int) -> None:
        nonlocal failed
        draw = random.Random(number)  # noqa: S311
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
            for n in range(n_requests // n_readers):
                kind = _KINDS[(n + number) % len(_KINDS)]
                started = time.perf_counter()
                answer = await client.get("/realsyn/pairs", params=_asked(kind, draw, material))
                taken[kind].append(1000 * (time.perf_counter() - started))
                failed += answer.status_code != 200 or "after" not in answer.json()

    started = time.monotonic()
    await asyncio.gather(*(reader(number) for number in range(n_readers)))
    return taken, failed, time.monotonic() - started


def _asked(kind: str, draw: random.Random, material: ManyPairs) -> dict[str, Any]:
    if kind == "page":
        return {"after": draw.randrange(material.n_pairs)}
    if kind == "filter":
        return draw.choice(
            [
                {"cluster": draw.randrange(2_000)},
                {"source": draw.choice(SOURCES), "min_similarity": 0.35},
                {"min_similarity": 0.42, "max_similarity": 0.45},
                {"cluster": draw.randrange(500), "source": draw.choice(SOURCES), "min_similarity": 0.3},
            ]
        )
    rank = int(len(material.words) ** draw.random())
    words = [material.words[rank - 1], *([material.words[draw.randrange(50)]] if draw.random() < 0.5 else [])]
    return {"words": " ".join(words)} | ({"source": draw.choice(SOURCES)} if draw.random() < 0.3 else {})


def _warm(url: str, token: str) -> None:
    """Until the app is imported and has opened the index."""
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=120) as client:
        for _ in range(20):
            client.get(f"{url}/realsyn/pairs").raise_for_status()


def _peak_bytes(stack: Stack) -> int:
    """Of the server's process that serves: the largest of its group."""
    record = json.loads((stack.home / "run" / "page.json").read_text())
    server = psutil.Process(record["pid"])
    peaks = [
        int(line.split()[1]) * 1024
        for process in (server, *server.children(recursive=True))
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return max(peaks)


def _at(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * share) - 1]
