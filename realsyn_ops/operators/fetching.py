"""Fetching in `ingest_documents`: what the documents of a shard name by URL, asked for once and staged part by part.

A part is staged as soon as it is full, so a killed task goes on behind its last one. What servers answered on earlier
runs is in the table `fetches`, the bytes of images in `images`: the plan's `refetch` says what of it is asked again.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import task

from realsyn_ops.operators.fetched import FETCH, is_remote, parts_of
from realsyn_ops.operators.raw import shard_documents
from realsyn_ops.operators.run import SHARD_TIMEOUT, Work, by_reason, digest, measured, open_staging
from realsyn_ops.plans import IngestPlan
from realsyn_ops.records import Document, ImageNode, Reason, image_key, url_key
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.io.fetch import Fetched, FetchLimits, FetchPolicy
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket

log = logging.getLogger(__name__)

BATCH_URLS = 10_000
"""Looked up in the corpus and asked for together."""
PART_URLS = 1_000
PART_BYTES = 64 * 2**20
_LOOKUP = 500
_LOOKED_UP = 32
OPT_OUT = ("opt-out/domains.txt", "opt-out/keys.txt")
"""Lists in the bucket, one domain or image key a line: nothing of them is fetched."""


@task(execution_timeout=SHARD_TIMEOUT)
def fetch(work: Work) -> Work:
    """Fetch the images that a shard's documents name by URL, where the plan says so."""
    staging = open_staging(work)
    chosen = IngestPlan.from_json(staging.plan_json())
    if not chosen.fetch_images or staging.is_done(f"{FETCH}-end", work["shard"]):
        return work
    with measured(staging, FETCH, work["shard"]):
        urls = dict.fromkeys(node.url for node in _remote_nodes(staging, work, chosen))
        parts = parts_of(staging, work["shard"])
        answered = {
            url
            for part in parts
            for url in staging.read_shard(FETCH, part, "fetches", columns=["url"])["url"].to_pylist()
        }
        n_done = len(answered)
        answers = _answers(staging, chosen, [url for url in urls if url not in answered])
        for number, part in enumerate(_full_parts(answers), start=len(parts)):
            _write_part(staging, f"{work['shard']}-{number:06d}", part, chosen.day)
            n_done += len(part)
            log.info("shard %s: %d of %d URLs answered", work["shard"], n_done, len(urls))
        staging.write(f"{FETCH}-end", work["shard"], {}, {})
    return work


def opt_out_digest(bucket: "Bucket") -> str:
    """Digest of the opt-out lists: a plan made before one was changed is another plan. Empty when there are none."""
    lists = [bucket.find(key) for key in OPT_OUT]
    return digest([(found or b"").decode("utf-8", "replace") for found in lists]) if any(lists) else ""


def _remote_nodes(staging: "Staging", work: Work, chosen: IngestPlan) -> Iterator[ImageNode]:
    """What is taken down is not asked for."""
    from realsyn_ops.io.takedowns import read_tombstones

    down = read_tombstones(staging.bucket)
    for document in shard_documents(staging, work["shard"], chosen):
        if isinstance(document, Document) and not down.document(document.key, document.url):
            nodes = (node for node in document.nodes if is_remote(node))
            yield from (node for node in nodes if not down.url(node.url))  # type: ignore[misc, union-attr]


def _answers(staging: "Staging", chosen: IngestPlan, urls: list[str]) -> "Iterator[Fetched]":
    """The answer to each URL: what is known already and not to be asked again, or what its server says."""
    from realsyn_ops.io.fetch import Fetched, Known, fetch_images

    limits, policy = _limits(chosen), _policy(staging.bucket)
    for start in range(0, len(urls), BATCH_URLS):
        some = urls[start : start + BATCH_URLS]
        before = _known(staging, some)
        final = {url for url, row in before.items() if _is_final(row, chosen.refetch)}
        known = {
            url: Known(etag=row["etag"] or "", last_modified=row["last_modified"] or "")
            for url, row in before.items()
            if row["image_key"] and (row["etag"] or row["last_modified"])
        }
        asked = [url for url in some if url not in final]
        answers = chain(
            (Fetched(url=url, is_unchanged=True) for url in some if url in final),
            fetch_images(asked, limits=limits, policy=policy, known=known),
        )
        yield from _with_images(staging, answers, before)


def _with_images(
    staging: "Staging", answers: "Iterator[Fetched]", before: dict[str, dict[str, Any]]
) -> "Iterator[Fetched]":
    """The answers, those that are unchanged with what is known of them and their images, some at a time."""
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    while some := list(islice(answers, _LOOKED_UP)):
        same = {answer.url: before[answer.url] for answer in some if answer.is_unchanged}
        wanted = {row["image_key"] for row in same.values() if row["image_key"]}
        data: dict[str, bytes] = {}
        if wanted:
            images = corpus.read("images", ["key", "data"], where=_among(wanted))
            data = dict(zip(images["key"].to_pylist(), images["data"].to_pylist(), strict=True))
        for answer in some:
            row = same.get(answer.url)
            yield answer if row is None else _as_before(answer.url, row, data.get(row["image_key"]))


def _known(staging: "Staging", urls: list[str]) -> dict[str, dict[str, Any]]:
    """What `fetches` knows of URLs from earlier runs; `image_key` only where the image is still in the corpus."""
    from realsyn_ops.io import schemas
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    if not corpus.exists("fetches"):
        return {}
    newest: dict[str, dict[str, Any]] = {}
    for start in range(0, len(urls), _LOOKUP):
        where = _among(url_key(url) for url in urls[start : start + _LOOKUP])
        rows = corpus.read("fetches", schemas.FETCHES.names, where=where).to_pylist()
        newest |= {row["url"]: row for row in sorted(rows, key=lambda row: row["day"])}
    held: set[str] = set()
    wanted = sorted({row["image_key"] for row in newest.values() if row["image_key"]})
    for start in range(0, len(wanted) if corpus.exists("images") else 0, _LOOKUP):
        held.update(corpus.read("images", ["key"], where=_among(wanted[start : start + _LOOKUP]))["key"].to_pylist())
    return {
        url: row | {"image_key": row["image_key"] if row["image_key"] in held else None} for url, row in newest.items()
    }


def _among(keys: Iterable[str]) -> str:
    return "key IN ({})".format(", ".join(f"'{key}'" for key in sorted(keys)))


def _is_final(row: Mapping[str, Any], refetch: str) -> bool:
    if refetch == "all":
        return False
    return row["image_key"] is not None or (refetch == "nothing" and row["reason"] is not None)


def _as_before(url: str, row: Mapping[str, Any], data: bytes | None) -> "Fetched":
    from realsyn_ops.io.fetch import Fetched

    same = {name: row[name] for name in ("final_url", "detail", "status", "etag", "last_modified", "n_tries")}
    return Fetched(url=url, data=data, reason=Reason(row["reason"]) if row["reason"] else None, **same)


def _full_parts(answers: "Iterable[Fetched]") -> "Iterator[list[Fetched]]":
    """Runs of answers that are full by number or by bytes, and the last one."""
    part: list[Fetched] = []
    n_bytes = 0
    for answer in answers:
        part.append(answer)
        n_bytes += len(answer.data or b"")
        if len(part) >= PART_URLS or n_bytes >= PART_BYTES:
            yield part
            part, n_bytes = [], 0
    if part:
        yield part


def _write_part(staging: "Staging", name: str, answers: "list[Fetched]", day: str) -> None:
    import pyarrow as pa

    from realsyn_ops.io import schemas

    rows = [
        {
            **{field: getattr(answer, field) for field in ("url", "final_url", "status", "detail", "etag",
                                                           "last_modified", "n_tries")},
            "key": url_key(answer.url),
            "day": day,
            "host": urlsplit(answer.url).hostname or "",
            "reason": str(answer.reason) if answer.reason else None,
            "n_bytes": len(answer.data or b""),
            "image_key": image_key(answer.data) if answer.data is not None else None,
        }
        for answer in answers
    ]  # fmt: skip
    tables = {
        "fetches": pa.Table.from_pylist(rows, schema=schemas.FETCHES),
        "bytes": pa.table({"data": pa.array([answer.data for answer in answers], pa.large_binary())}),
    }
    rejected = Counter(row["reason"] for row in rows if row["reason"])
    staging.write(FETCH, name, tables, by_reason("urls", len(rows), len(rows) - sum(rejected.values()), rejected))


def _limits(chosen: IngestPlan) -> "FetchLimits":
    from realsyn_ops.io.fetch import FetchLimits

    return FetchLimits(
        max_bytes=chosen.max_image_bytes,
        max_connections=settings().fetch_requests,
        max_per_host=settings().fetch_per_host,
    )


def _policy(bucket: "Bucket") -> "FetchPolicy":
    from realsyn_ops.io.fetch import FetchPolicy
    from realsyn_ops.io.takedowns import read_tombstones

    down = read_tombstones(bucket)
    domains, keys = ((bucket.find(key) or b"").decode("utf-8", "replace").split() for key in OPT_OUT)
    return FetchPolicy(
        user_agent=settings().user_agent,
        allowed=tuple(settings().fetch_allowed.split()),
        opt_out_domains=(*domains, *down.domains),
        opt_out_keys=(*keys, *down.images),
    )
