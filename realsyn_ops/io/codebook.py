"""The codebook: word counts and sentence centroids frozen together under a version, so that days stay comparable."""

import hashlib
import io
import json
from dataclasses import dataclass

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


def read_codebook(bucket: Bucket, version: str, of: str = "sentences") -> Codebook:
    """Raises CorruptShardError when the files are not what the version names."""
    prefix = f"corpus/codebooks/{of}/{version}"
    words = pq.read_table(pa.BufferReader(bucket.get(f"{prefix}/words.parquet")))
    codebook = Codebook(
        dict(zip(words["word"].to_pylist(), words["count"].to_pylist(), strict=True)),
        np.load(io.BytesIO(bucket.get(f"{prefix}/centroids.npy")), allow_pickle=False),
    )
    if codebook.version != version:
        raise CorruptShardError(bucket.uri(prefix), version, codebook.version)
    return codebook


def publish_codebook(bucket: Bucket, codebook: Codebook, of: str = "sentences", *, replaces: str = "") -> str:
    """Store the first codebook and put it in force. Raises PermanentError when another one is in force already."""
    prefix = f"corpus/codebooks/{of}/{codebook.version}"
    ordered = sorted(codebook.words.items())
    words = pa.table({"word": [w for w, _ in ordered], "count": [c for _, c in ordered]})
    centroids = io.BytesIO()
    np.save(centroids, np.ascontiguousarray(codebook.centroids, np.float32))
    bucket.put(f"{prefix}/words.parquet", parquet_bytes(words))
    bucket.put(f"{prefix}/centroids.npy", centroids.getvalue())
    pointer = json.dumps({"version": codebook.version}).encode()
    if not bucket.put_new(_pointer(of), pointer) and current_version(bucket, of) != codebook.version:
        raise PermanentError(
            f"codebook {current_version(bucket, of)} was put in force while {codebook.version} was fitted: clear it"
        )
    return codebook.version


def _pointer(of: str) -> str:
    return f"corpus/codebooks/{of}.json"
