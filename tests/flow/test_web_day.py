"""A day of documents that name their images by address, on real Airflow: fetched, refused with reasons, asked once.

The last of the flow's tests: it pauses the Dags that would follow.
"""

import asyncio
import threading
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.cli.airflow_api import Run
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.records import image_key
from tests.flow.harness import Demo, wait_for
from tests.io.misbehaving import MisbehavingServer, picture

DAY = "2025-02-23"
PATHS = ("/known/1.jpg", "/known/2.jpg", "/flaky/3.jpg", "/status/404", "/private/4.jpg", "/noai/5.jpg", "/page/6")

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def site(demo: Demo) -> Iterator[tuple[MisbehavingServer, int]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = MisbehavingServer()
    port = asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield server, port
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def obelics(urls: list[str]) -> bytes:
    """One document of text and images by address, in the columns that OBELICS publishes."""
    texts: list[str | None] = ["A heron stands in the shallow water of the lake and waits for fish."]
    images: list[str | None] = [None]
    for url in urls:
        images += [url, None]
        texts += [None, f"The picture above shows a bird of the lake in its {len(texts)}th summer."]
    table = pa.table(
        {"images": [images], "metadata": ["[]"], "general_metadata": ['{"url": "https://example.org/lake"}'],
         "texts": [texts]}
    )  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def ingest(demo: Demo, **params: object) -> Run:
    run = demo.api.trigger("ingest_documents", partition_key=DAY, conf={"fetch_images": True, **params})
    states = wait_for(demo.api, run, timeout_s=600)
    assert set(states.values()) == {"success"}, states
    return run


def test_images_by_address_are_fetched_once_and_revalidated(demo: Demo, site: tuple[MisbehavingServer, int]) -> None:
    server, port = site
    address = f"http://127.0.0.1:{port}"
    demo.stack.bucket.put(f"raw/{DAY}/web/lake.parquet", obelics([address + path for path in PATHS]))
    for dag in ("curate_images", "cluster_sentences"):
        demo.api.pause(dag)

    ingest(demo)
    corpus = Corpus(demo.stack.bucket)
    images = corpus.read("images", ["key", "data"], day=DAY).to_pylist()
    assert {row["key"] for row in images} == {image_key(picture(path)) for path in PATHS[:3]}
    fetches = {row["url"]: row for row in corpus.read("fetches", ["url", "reason", "n_tries"], day=DAY).to_pylist()}
    assert {url.removeprefix(address): row["reason"] for url, row in fetches.items()} == dict(
        zip(PATHS, (None, None, None, "fetch_not_found", "fetch_robots", "fetch_robots", None), strict=True)
    )
    assert fetches[address + "/flaky/3.jpg"]["n_tries"] == 2
    rejects = {(row["reason"], row["node"]) for row in corpus.read("rejects", ["reason", "node"], day=DAY).to_pylist()}
    assert rejects == {("fetch_not_found", 7), ("fetch_robots", 9), ("fetch_robots", 11), ("image_format", 13)}

    columns = ["key", "data", "n_nodes"]
    before, asked = corpus.read("images", columns, day=DAY).to_pylist(), dict(server.asked)
    ingest(demo, refetch="all")
    assert corpus.read("images", columns, day=DAY).to_pylist() == before
    assert server.headers["/known/1.jpg"]["if-none-match"]
    assert server.asked["/known/1.jpg"] == asked["/known/1.jpg"] + 1

    asked = dict(server.asked)
    ingest(demo, refetch="nothing", max_image_pixels=99_000_000)
    assert corpus.read("images", columns, day=DAY).to_pylist() == before
    again = {path for path, n in server.asked.items() if n > asked.get(path, 0)}
    assert again <= {"/page/6", "/robots.txt"}
