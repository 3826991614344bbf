"""Small releases published through the real code: pairs as the tests want them, in two shards a scale."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg

from realsyn_ops.io.releases import publish_release
from realsyn_ops.io.schemas import RELEASE
from realsyn_ops.io.shards import parquet_bytes
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.webdataset import Sample, write_tar
from realsyn_ops.records import sentence_key
from realsyn_ops.stages.export import release_rows, sample_fields

DAY = "2025-02-18"
PLAN = {"code": "c0de", "inputs": "in", "preset": "demo", "seed": 2502}


def pair(key: str, **changes: Any) -> dict[str, Any]:
    """A pair whose texts follow from its key."""
    texts = changes.pop("texts", [f"Text {rank} of {key}." for rank in (1, 2, 3)])
    return {
        "key": key, "day": DAY, "url": f"https://example.org/{key}.png", "texts": texts,
        "text_keys": [sentence_key(text) for text in texts], "similarities": [0.5, 0.4, 0.3], "caption": "a thing",
        "tags": ["thing"], "syn_text": f"A thing of {key}.", "syn_origin": "rewriter", "syn_similarity": 0.25,
        "document_key": "d1", "document_url": "https://example.org/", "node": 1, "models": "{}",
        "text_document_urls": ["https://example.org/"] * 3, "text_nodes": [2, 3, 4],
    } | changes  # fmt: skip


def picture(key: str) -> bytes:
    shade = hashlib.sha256(key.encode()).digest()[0]
    content: bytes = simplejpeg.encode_jpeg(np.full((16, 16, 3), shade, np.uint8))
    return content


def publish(
    bucket: Bucket,
    version: str,
    pairs: list[dict[str, Any]],
    *,
    previous: str = "",
    texts: Mapping[str, bytes] | None = None,
    more: Sequence[dict[str, Any]] = (),
) -> dict[str, bytes]:
    """Publish the pairs in two shards, or in two of each scale, the smaller scale first; returns what was staged.

    ``more``: the pairs by which the second scale is larger.
    """
    parts = [part for some in (pairs, more) for part in _halves(release_rows(some))]
    staged: dict[str, bytes] = {}
    for i, part in enumerate(parts):
        samples = [Sample(row["key"], picture(row["key"]), row["text1"], sample_fields(row)) for row in part]
        staged[f"pairs/{i:05d}.parquet"] = parquet_bytes(pa.Table.from_pylist(part, schema=RELEASE))
        staged[f"tars/{i:05d}.tar"] = write_tar(samples)
    files = []
    for path, data in staged.items():
        bucket.put(f"staging/x/{version}/{path}", data)
        files.append({"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    facts = {
        "version": version, "previous": previous, "days": [DAY], "preset": "demo", "models": {"rewriter": "small"},
        "selection": selection_facts(pairs, more),
        "plans": {"release_dataset": PLAN},
    }  # fmt: skip
    publish_release(bucket, version, f"staging/x/{version}", files, {"README.md": b"# card", **(texts or {})}, facts)
    return staged


def selection_facts(pairs: list[dict[str, Any]], more: Sequence[dict[str, Any]]) -> dict[str, Any]:
    facts = {"lower": 0.1, "upper": 0.9, "cap": 2, "cluster_sizes_after": [1], "n_selected": len(pairs) + len(more)}
    first, second = len(_halves(pairs)), len(_halves(more))
    scales = [{"size": len(pairs), "n_shards": first}, {"size": len(pairs) + len(more), "n_shards": first + second}]
    return facts | ({"scales": scales} if more else {})


def _halves(rows: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    half = -(-len(rows) // 2)
    return [part for part in (rows[:half], rows[half:]) if part]


def mend_manifest(bucket: Bucket, version: str, path: str, data: bytes) -> None:
    """Change a file and what the manifest says of it: a release that was published wrong."""
    bucket.put(f"releases/{version}/{path}", data)
    key = f"releases/{version}/manifest.json"
    manifest = json.loads(bucket.get(key))
    for file in manifest["files"]:
        if file["path"] == path:
            file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    bucket.put(key, json.dumps(manifest).encode())
