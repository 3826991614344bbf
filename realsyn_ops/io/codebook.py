"""Codebooks: word counts and centroids frozen together under a version, so that days stay comparable.

`corpus/codebooks/OF/VERSION/` holds one, of sentences or images, for good; `corpus/codebooks/OF.json` names the one in
force and tells which followed which. A refit puts another in force by compare-and-swap.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.shards import parquet_bytes
from realsyn_ops.io.storage import Bucket


@dataclass(frozen=True)
class Codebook:
    """``words``: occurrences of each word in the corpus it was fitted on; ``centroids``: (k, d) float32 unit rows."""

    words: dict[str, int]
    centroids: np.ndarray

    @property
    def version(self) -> str:
        digest = hashlib.sha256(json.dumps(self.words, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.centroids, np.float32).tobytes())
        return digest.hexdigest()[:16]


def current_version(bucket: Bucket, of: str = "sentences") -> str:
    """Version of the codebook of images or sentences that is in force, empty when none has been fitted."""
    pointer = bucket.find(_pointer(of))
    return json.loads(pointer)["version"] if pointer else ""


def read_history(bucket: Bucket, of: str = "sentences") -> list[dict[str, str]]:
    """The codebooks that have been in force, first to last: `version`, `replaced`, the caller's `when` and `why`."""
    pointer = bucket.find(_pointer(of))
    return json.loads(pointer)["history"] if pointer else []


def read_codebook(bucket: Bucket, version: str, of: str = "sentences") -> Codebook:
    """Raises CorruptShardError when the files are not what the version names."""
    prefix = _prefix(of, version)
    words = pq.read_table(pa.BufferReader(bucket.get(f"{prefix}/words.parquet")))
    codebook = Codebook(
        dict(zip(words["word"].to_pylist(), words["count"].to_pylist(), strict=True)),
        np.load(io.BytesIO(bucket.get(f"{prefix}/centroids.npy")), allow_pickle=False),
    )
    if codebook.version != version:
        raise CorruptShardError(bucket.uri(prefix), version, codebook.version)
    return codebook


def read_statistics(bucket: Bucket, version: str, of: str = "sentences") -> dict[str, Any] | None:
    """What was stored of the fit with the codebook; no part of its version."""
    content = bucket.find(f"{_prefix(of, version)}/statistics.json")
    return json.loads(content) if content else None


def publish_codebook(
    bucket: Bucket,
    codebook: Codebook,
    of: str = "sentences",
    *,
    replaces: str = "",
    statistics: dict[str, Any] | None = None,
    when: str = "",
    why: str = "",
) -> str:
    """Store a codebook and put it in force: as the first one, or after the version it replaces.

    Raises PermanentError when another one is in force by then; that one stays. Doing it again changes nothing.
    """
    version = codebook.version
    _store(bucket, codebook, _prefix(of, version), statistics)
    found = bucket.find_tagged(_pointer(of))
    pointer = json.loads(found[0]) if found else {"version": "", "history": []}
    if pointer["version"] == version:
        return version
    succession = {"version": version, "replaced": replaces, "when": when, "why": why}
    content = json.dumps({"version": version, "history": [*pointer["history"], succession]}).encode()
    if pointer["version"] == replaces and (
        bucket.put_over(_pointer(of), content, etag=found[1]) if found else bucket.put_new(_pointer(of), content)
    ):
        return version
    in_force = current_version(bucket, of)
    if in_force != version:
        raise PermanentError(f"codebook {in_force} was put in force while {version} was fitted: clear this run")
    return version


def _store(bucket: Bucket, codebook: Codebook, prefix: str, statistics: dict[str, Any] | None) -> None:
    ordered = sorted(codebook.words.items())
    words = pa.table({"word": [w for w, _ in ordered], "count": [c for _, c in ordered]})
    centroids = io.BytesIO()
    np.save(centroids, np.ascontiguousarray(codebook.centroids, np.float32))
    if statistics is not None:
        bucket.put(f"{prefix}/statistics.json", json.dumps(statistics, sort_keys=True).encode())
    bucket.put(f"{prefix}/words.parquet", parquet_bytes(words))
    bucket.put(f"{prefix}/centroids.npy", centroids.getvalue())


def _prefix(of: str, version: str) -> str:
    return f"corpus/codebooks/{of}/{version}"


def _pointer(of: str) -> str:
    return f"corpus/codebooks/{of}.json"
