"""What a bucket keeps of takedowns: tombstones under ``corpus/tombstones/``, and a folder ``takedowns/ID/`` for each.

The folder holds what a takedown works on (keys), what it looks for in the bucket's bytes (until it is proved), and its
reports.
"""

import hashlib
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.io.shards import parquet_bytes
from realsyn_ops.io.storage import Bucket
from realsyn_ops.tombstones import Tombstone, Tombstones

TOMBSTONES, TAKEDOWNS = "corpus/tombstones/", "takedowns/"
NEEDLES = pa.schema([("kind", pa.string()), ("key", pa.string()), ("data", pa.large_binary())])
"""What is looked for: the key of a record, and bytes of what it was."""


def read_tombstones(bucket: Bucket) -> Tombstones:
    return Tombstones(Tombstone.from_json(bucket.get(item.key)) for item in bucket.list(TOMBSTONES))


def tombstones_digest(bucket: Bucket) -> str:
    """A plan made before something was taken down is another plan. Empty when there are none."""
    tags = [f"{item.key} {item.etag}" for item in bucket.list(TOMBSTONES)]
    return hashlib.sha256("\n".join(tags).encode()).hexdigest()[:16] if tags else ""


def find_tombstone(bucket: Bucket, takedown: str) -> Tombstone | None:
    found = bucket.find(f"{TOMBSTONES}{takedown}.json")
    return Tombstone.from_json(found) if found else None


def bury(bucket: Bucket, tombstone: Tombstone) -> None:
    bucket.put(f"{TOMBSTONES}{tombstone.id}.json", tombstone.to_json())


def put_facts(bucket: Bucket, takedown: str, name: str, facts: dict[str, Any]) -> None:
    data = json.dumps(facts, sort_keys=True, indent=1, ensure_ascii=False).encode()
    bucket.put(f"{TAKEDOWNS}{takedown}/{name}.json", data)


def find_facts(bucket: Bucket, takedown: str, name: str) -> dict[str, Any] | None:
    found = bucket.find(f"{TAKEDOWNS}{takedown}/{name}.json")
    return json.loads(found) if found else None


def put_needles(bucket: Bucket, takedown: str, needles: pa.Table) -> None:
    """Kept until they are known to be gone: what a killed takedown has removed could not be looked for otherwise."""
    bucket.put(needles_key(takedown), parquet_bytes(needles))


def read_needles(bucket: Bucket, takedown: str) -> pa.Table:
    found = bucket.find(needles_key(takedown))
    return pq.read_table(pa.BufferReader(found)) if found else NEEDLES.empty_table()


def needles_key(takedown: str) -> str:
    return f"{TAKEDOWNS}{takedown}/needles.parquet"
