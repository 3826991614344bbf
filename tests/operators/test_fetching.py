"""The task `fetch` against a real bucket and a real server: what a killed, repeated or later run asks for again."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import fetched, fetching
from realsyn_ops.operators.raw import list_raw, write_shards
from realsyn_ops.plans import IngestPlan
from realsyn_ops.settings import settings
from tests.io.misbehaving import MisbehavingServer, picture

DAY = "2025-02-20"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[MisbehavingServer, str]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = MisbehavingServer()
    port = asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    monkeypatch.setenv("REALSYN_FETCH_ALLOWED", f"127.0.0.1:{port}")
    settings.cache_clear()
    yield server, f"http://127.0.0.1:{port}"
    settings.cache_clear()
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def staged(
    bucket: Bucket, urls: list[str], monkeypatch: pytest.MonkeyPatch, **params: Any
) -> tuple[Staging, dict[str, str]]:
    monkeypatch.setattr(fetching, "open_staging", lambda work: Staging(bucket, work["staging"]))
    page = "".join(f"<p>A bird of the lake.</p><img src='{url}'>" for url in urls)
    bucket.put(f"raw/{DAY}/web/page.html", page.encode())
    plan = IngestPlan(inputs="0" * 16, code="0" * 16, day=DAY, fetch_images=True, **params)
    staging = Staging.create(bucket, "ingest_documents", DAY, plan)
    (shard,) = write_shards(staging, list_raw(bucket, DAY), plan)
    return staging, {"staging": staging.prefix, "shard": shard}


def answers(staging: Staging) -> dict[str, Any]:
    rows = [row for table in staging.read(fetched.FETCH, "fetches") for row in table.to_pylist()]
    assert len({row["url"] for row in rows}) == len(rows)
    return {row["url"]: row["reason"] or row["image_key"] for row in rows}


def test_every_address_is_answered_once_over_parts_and_a_kill(
    bucket: Bucket, site: tuple[MisbehavingServer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = site
    urls = [f"{address}/ok/{i}.jpg" for i in range(20)] + [f"{address}/status/404"]
    staging, work = staged(bucket, urls, monkeypatch)
    monkeypatch.setattr(fetching, "PART_URLS", 6)
    write, n_written = fetching._write_part, 0

    def killed(*arguments: Any) -> None:
        nonlocal n_written
        if n_written == 2:
            raise KeyboardInterrupt
        n_written += 1
        write(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(fetching, "_write_part", killed)
        fetching.fetch.function(work)
    kept = set(answers(staging))
    assert len(kept) == 12
    asked = server.asked.copy()

    fetching.fetch.function(work)
    assert set(answers(staging)) == set(urls)
    assert not any(server.asked[url.removeprefix(address)] > asked[url.removeprefix(address)] for url in kept)

    asked = server.asked.copy()
    fetching.fetch.function(work)
    assert server.asked == asked


def test_documents_get_the_bytes_or_the_reason(
    bucket: Bucket, site: tuple[MisbehavingServer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = site
    urls = [f"{address}/ok/1.jpg", f"{address}/status/404", f"{address}/noai/1.jpg", f"{address}/ok/1.jpg"]
    staging, work = staged(bucket, urls, monkeypatch)
    fetching.fetch.function(work)
    plan = IngestPlan.from_json(staging.plan_json())
    read = fetching.shard_documents(staging, work["shard"], plan)
    (document,) = fetched.with_fetched(read, staging, work["shard"], max_document_bytes=10_000)
    found = [(node.data, node.reason) for node in document.nodes if hasattr(node, "src")]  # type: ignore[union-attr]
    assert found == [
        (picture("/ok/1.jpg"), None),
        (None, "fetch_not_found"),
        (None, "fetch_robots"),
        (picture("/ok/1.jpg"), None),
    ]


def test_a_document_gets_no_more_bytes_than_it_may(
    bucket: Bucket, site: tuple[MisbehavingServer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = site
    urls = [f"{address}/ok/1.jpg", f"{address}/ok/1.jpg", f"{address}/ok/2.jpg", f"{address}/ok/3.jpg"]
    staging, work = staged(bucket, urls, monkeypatch)
    fetching.fetch.function(work)
    read = fetching.shard_documents(staging, work["shard"], IngestPlan.from_json(staging.plan_json()))
    limit = 2 * len(picture("/ok/1.jpg")) + 10
    (document,) = fetched.with_fetched(read, staging, work["shard"], max_document_bytes=limit)
    found = [(node.reason, node.detail) for node in document.nodes if hasattr(node, "src")]  # type: ignore[union-attr]
    size = len(picture("/ok/3.jpg"))
    assert found == [(None, "")] * 3 + [("image_too_large", f"{size} bytes, 10 left to this document")]


def test_nothing_is_fetched_where_the_plan_does_not_say_so(
    bucket: Bucket, site: tuple[MisbehavingServer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = site
    staging, work = staged(bucket, [f"{address}/ok/1.jpg"], monkeypatch, refetch="failed")
    plan = IngestPlan(inputs="0" * 16, code="0" * 16, day=DAY)
    other = Staging.create(bucket, "ingest_documents", DAY, plan)
    write_shards(other, list_raw(bucket, DAY), plan)
    fetching.fetch.function(work | {"staging": other.prefix})
    assert not server.asked
    assert other.shards(fetched.FETCH) == []
    assert staging.prefix != other.prefix


def test_who_is_on_the_lists_of_the_bucket_is_not_asked(
    bucket: Bucket, site: tuple[MisbehavingServer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = site
    before = fetching.opt_out_digest(bucket)
    bucket.put("opt-out/domains.txt", b"example.org\n127.0.0.1\n")
    staging, work = staged(bucket, [f"{address}/ok/1.jpg"], monkeypatch)
    fetching.fetch.function(work)
    assert list(answers(staging).values()) == ["fetch_opt_out"]
    assert not server.asked
    assert before == ""
    assert fetching.opt_out_digest(bucket)
