"""Memory and speed of reading large files: a WARC and an OBELICS-like parquet, of 100 MB and of 1 GB each.

The files are made of GIMP's manual (a Debian package): its pages and images over and over, each round at addresses and
with a first sentence of its own. Each file is listed and read shard by shard through `extract`, as the tasks do, in a
process of its own and one after the other; what a shard gave is dropped. The files are deleted afterwards.
"""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.demo.bundle import images_of
from realsyn_ops.demo.packages import fetch
from realsyn_ops.io.html import read_html
from realsyn_ops.records import TextNode

SUMMARY = "peak memory of reading a WARC and a parquet, 100 MB beside 1 GB"
SIZES = {"100 MB": 100 * 10**6, "1 GB": 10**9}
MAX_PEAK_MB = 1_536
MAX_GROWTH = 1.25
_HOST = "https://manual.example.org"
_GROUP_ROWS = 200
Round = Iterator[tuple[int, Path, bytes]]
SCHEMA = pa.schema(
    [
        ("images", pa.list_(pa.binary())),
        ("metadata", pa.string()),
        ("general_metadata", pa.string()),
        ("texts", pa.list_(pa.string())),
    ]
)

_READ = r"""
import json, re, sys, time
from pathlib import Path
from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.plans import IngestPlan
from realsyn_ops.stages.extract import extract
plan = IngestPlan(inputs="", code="", day="2026-01-01")
names = ("max_nodes", "max_document_bytes", "max_image_bytes")
limits = Limits(**{name: getattr(plan, name) for name in names})
def peak(): return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
started, counts = time.perf_counter(), {}
with open(sys.argv[1], "rb") as file:
    listing = list_shards(file, "x", max_documents=plan.max_shard_documents, max_bytes=plan.max_shard_bytes)
    listed = time.perf_counter() - started
    for shard in listing.shards:
        found = read_documents(file, shard, source="s", limits=limits, images=listing.images)
        for name, n in extract(found, day=plan.day, max_pixels=plan.max_image_pixels).counts.items():
            counts[name] = counts.get(name, 0) + n
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "listed": listed, "peak": peak(), "n_shards": len(listing.shards), **counts}))
"""


def measure(home: Path, console: Console) -> Measurement:
    manual = fetch(["gimp-help-en"], home / "cache")["gimp-help-en"] / "usr/share/gimp/2.0/help"
    pages = sorted((manual / "en").glob("*.html"))
    figures: dict[str, dict[str, Any]] = {}
    checks = []
    for kind, make in (("WARC", _write_warc), ("parquet", _write_parquet)):
        for size, n_bytes in SIZES.items():
            with tempfile.TemporaryDirectory(dir=home) as scratch:
                path = Path(scratch) / "file"
                console.print(f"{kind}, {size}", highlight=False)
                make(path, pages, n_bytes)
                figures[f"{kind} {size}"] = _figures(path)
        small, large = (figures[f"{kind} {size}"] for size in SIZES)
        checks += [
            Check(f"peak of the large {kind}, MB", large["peak_rss_mb"], "<=", MAX_PEAK_MB),
            Check(f"its growth, {kind}", large["peak_rss_mb"] / small["peak_rss_mb"], "<=", MAX_GROWTH),
        ]
        checks.append(Check(f"documents lost, {kind}", small["n_lost"] + large["n_lost"], "<=", 0))
    return Measurement(f"{len(pages)} pages of GIMP's manual with their images, over and over", figures, checks)


def _figures(path: Path) -> dict[str, Any]:
    n_expected = int((path.parent / "n").read_text())
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    n_bytes = path.stat().st_size
    return {
        "peak_rss_mb": answer["peak"] / 2**20,
        "mb_per_second": n_bytes / 1e6 / answer["seconds"],
        "documents_per_second": answer["documents_in"] / answer["seconds"],
        "listing_seconds": answer["listed"],
        "seconds": answer["seconds"],
        "n_bytes": n_bytes,
        "n_documents": answer["documents_in"],
        "n_images": answer["image_nodes_kept"],
        "n_shards": answer["n_shards"],
        "n_lost": n_expected - answer["documents_kept"],
    }


def _rounds(pages: list[Path]) -> Round:
    """The pages without end, each with its round and a first sentence that tells it from the rounds before."""
    number = 0
    while True:
        for page in pages:
            yield number, page, b"<p>This is round number %d of the manual.</p>" % number
        number += 1


def _marked(page: Path, sentence: bytes) -> bytes:
    head, body, rest = page.read_bytes().partition(b"<body>")
    return head + body + sentence + rest if body else head + sentence


def _write_warc(path: Path, pages: list[Path], n_bytes: int) -> None:
    n_pages = 0
    written: set[str] = set()
    with path.open("wb") as sink:
        writer = WARCWriter(sink, gzip=False)

        def write(url: str, kind: str, body: bytes) -> None:
            headers = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
            payload = io.BytesIO(body)
            writer.write_record(
                writer.create_warc_record(url, "response", payload, http_headers=headers, length=len(body))
            )

        for number, page, sentence in _rounds(pages):
            if sink.tell() >= n_bytes:
                break
            write(f"{_HOST}/{number}/en/{page.name}", "text/html; charset=utf-8", _marked(page, sentence))
            n_pages += 1
            for name, image in images_of(page, page.parents[1]).items():
                if (url := f"{_HOST}/{number}/{name}") not in written:
                    written.add(url)
                    write(url, f"image/{image.suffix[1:]}", image.read_bytes())
    (path.parent / "n").write_text(str(n_pages))


def _write_parquet(path: Path, pages: list[Path], n_bytes: int) -> None:
    rows: list[dict[str, Any]] = []
    n_pages = 0
    with path.open("wb") as sink, pq.ParquetWriter(sink, SCHEMA) as writer:
        for number, page, sentence in _rounds(pages):
            rows.append(_row(page, sentence, f"{_HOST}/{number}/en/{page.name}"))
            n_pages += 1
            if len(rows) == _GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows.clear()
                if sink.tell() >= n_bytes:
                    break
    (path.parent / "n").write_text(str(n_pages))


def _row(page: Path, sentence: bytes, url: str) -> dict[str, Any]:
    images = {name.rpartition("/")[2]: image for name, image in images_of(page, page.parents[1]).items()}
    row: dict[str, Any] = {"images": [], "metadata": [], "texts": [], "general_metadata": json.dumps({"url": url})}
    for node in read_html(_marked(page, sentence)).nodes:
        image = None if isinstance(node, TextNode) else images.get(node.src.rpartition("/")[2])
        if isinstance(node, TextNode):
            row["texts"].append(node.text)
            row["images"].append(None)
            row["metadata"].append(None)
        elif image is not None:
            row["texts"].append(None)
            row["images"].append(image.read_bytes())
            row["metadata"].append({"src": node.src, "alt_text": node.alt})
    return {**row, "metadata": json.dumps(row["metadata"])}
