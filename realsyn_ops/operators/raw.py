"""The raw objects of a day, `raw/DAY/SOURCE/...`: listed, split into shards, and opened again shard by shard.

Objects are read by ranges where they lie. Loose pages and images of one source are one bundle, named by their folder.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.run import digest
from realsyn_ops.plans import IngestPlan
from realsyn_ops.records import Document, Reject

if TYPE_CHECKING:
    from typing import BinaryIO

    from realsyn_ops.io.bundles import Bundle
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket, ObjectInfo

_LOOSE = (".html", ".htm", ".xhtml", ".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif")
_PAGES = (".html", ".htm", ".xhtml")
_SHARDS = "shards.json"


def list_raw(bucket: "Bucket", day: str) -> "list[ObjectInfo]":
    return list(bucket.list(f"raw/{day}/"))


def write_shards(staging: "Staging", raw: "list[ObjectInfo]", plan: IngestPlan) -> list[str]:
    """Split a day's raw objects and keep the result in the run's folder; returns the shards' names."""
    from realsyn_ops.io.documents import list_shards

    shards: dict[str, dict[str, Any]] = {}
    for name in _units([item.key for item in raw]):
        with _opened(staging.bucket, name, [item for item in raw if item.key.startswith(name)]) as opened:
            listing = list_shards(opened, name, max_documents=plan.max_shard_documents, max_bytes=plan.max_shard_bytes)
        if listing.images:
            staging.put(_index(name), listing.images)
        for shard in listing.shards:
            shards[f"{len(shards):05d}"] = {**asdict(shard), "has_images": bool(listing.images)}
    staging.put(_SHARDS, json.dumps(shards, sort_keys=True).encode())
    return list(shards)


def shard_file(staging: "Staging", name: str) -> str:
    """The raw object that a shard is part of."""
    file: str = json.loads(staging.get(_SHARDS))[name]["file"]
    return file


def shard_documents(staging: "Staging", name: str, plan: IngestPlan) -> Iterator[Document | Reject]:
    """A shard's documents in order, read anew from the raw object."""
    from realsyn_ops.io.documents import Limits, Shard, read_documents

    about = json.loads(staging.get(_SHARDS))[name]
    images = staging.get(_index(about["file"])) if about.pop("has_images") else b""
    shard = Shard(**about)
    limits = Limits(
        max_nodes=plan.max_nodes, max_document_bytes=plan.max_document_bytes, max_image_bytes=plan.max_image_bytes
    )
    members = list(staging.bucket.list(shard.file)) if shard.file.endswith("/") else []
    with _opened(staging.bucket, shard.file, members) as opened:
        yield from read_documents(opened, shard, source=shard.file.split("/")[2], limits=limits, images=images)


def _units(keys: list[str]) -> list[str]:
    """What is read as one: an object, or (ending in "/") the loose pages and images of a source."""
    folders: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        if key.lower().endswith(_LOOSE):
            folders["/".join(key.split("/")[:3]) + "/"].append(key)
    bundled = {f: members for f, members in folders.items() if any(m.lower().endswith(_PAGES) for m in members)}
    loose = {key for members in bundled.values() for key in members}
    return sorted([*bundled, *(key for key in keys if key not in loose)])


@contextmanager
def _opened(bucket: "Bucket", name: str, members: "list[ObjectInfo]") -> "Iterator[BinaryIO | Bundle]":
    if not name.endswith("/"):
        with bucket.open(name) as file:
            yield file
        return
    from realsyn_ops.io.bundles import FolderBundle

    def opener(key: str) -> Any:
        return lambda: bucket.open(key)

    loose = [m for m in members if m.key.lower().endswith(_LOOSE)]
    yield FolderBundle({m.key[len(name) :]: (m.n_bytes, opener(m.key)) for m in loose})


def _index(name: str) -> str:
    return f"images-{digest(name)}.json"
