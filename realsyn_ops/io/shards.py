"""Staging: what a run is making, as parquet shards bound to the run's plan.

A run's folder is ``staging/<dag>/<partition>/<plan digest>/``: the same inputs, settings and code share it, so a
retried or repeated task finds its finished shards and leaves the same bytes. A shard's marker is written after its
files and holds their sha256; the run's ``manifest.json`` comes last, by a conditional put, and makes the whole visible.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedown_lock import check_no_takedown
from realsyn_ops.plans import Plan


@dataclass(frozen=True)
class Staging:
    """One run's staging folder."""

    bucket: Bucket
    prefix: str

    @classmethod
    def create(cls, bucket: Bucket, dag: str, partition: str, plan: Plan) -> "Staging":
        """The folder of this plan, with ``plan.json`` in it. Raises TransientError while a takedown is under way."""
        check_no_takedown(bucket)
        staging = cls(bucket, f"staging/{dag}/{partition}/{plan.digest}")
        bucket.put(f"{staging.prefix}/plan.json", plan.to_json().encode())
        return staging

    def plan_json(self) -> bytes:
        return self.bucket.get(f"{self.prefix}/plan.json")

    @property
    def dag(self) -> str:
        return self.prefix.split("/")[1]

    @property
    def partition(self) -> str:
        return self.prefix.split("/")[2]

    @property
    def plan_digest(self) -> str:
        return self.prefix.split("/")[3]

    def put(self, name: str, data: bytes) -> None:
        """A small file of the run that is no shard."""
        self.bucket.put(f"{self.prefix}/{name}", data)

    def get(self, name: str) -> bytes:
        return self.bucket.get(f"{self.prefix}/{name}")

    def write(self, stage: str, shard: str, tables: Mapping[str, pa.Table], counts: Mapping[str, int]) -> None:
        """Write a shard's tables, then its marker, with counts that must add up (`check_counts`)."""
        check_counts(counts, f"{stage}/{shard}")
        files = {}
        for name, table in tables.items():
            data = parquet_bytes(table)
            self.bucket.put(self._file(stage, shard, name), data)
            files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "n_rows": table.num_rows, "n_bytes": len(data)}
        self.bucket.put(self._marker(stage, shard), _json({"files": files, "counts": dict(counts)}))

    def is_done(self, stage: str, shard: str) -> bool:
        """Whether the shard is finished and its bytes are those its marker names."""
        marker = self.bucket.find(self._marker(stage, shard))
        if marker is None:
            return False
        try:
            for name in json.loads(marker)["files"]:
                self._verified(stage, shard, name)
        except PermanentError:
            return False
        return True

    def shards(self, stage: str) -> list[str]:
        """Finished shards of a stage, in order of name."""
        prefix = f"{self.prefix}/{stage}/"
        return [o.key[len(prefix) : -5] for o in self.bucket.list(prefix) if o.key.endswith(".json")]

    def read(self, stage: str, name: str, *, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The stage's tables called ``name``, shard by shard in order; raises CorruptShardError on changed bytes."""
        for shard in self.shards(stage):
            yield self.read_shard(stage, shard, name, columns=columns)

    def read_shard(self, stage: str, shard: str, name: str, *, columns: list[str] | None = None) -> pa.Table:
        return pq.read_table(pa.BufferReader(self._verified(stage, shard, name)), columns=columns)

    def read_all(self, stage: str, name: str, *, columns: list[str] | None = None) -> pa.Table:
        """All shards' rows in one table, sorted by key: for small columns."""
        table = pa.concat_tables(self.read(stage, name, columns=columns))
        return table.sort_by("key") if "key" in table.column_names else table

    def marker(self, stage: str, shard: str) -> dict[str, Any]:
        """A finished shard's files and counts; empty when it is not finished."""
        found = self.bucket.find(self._marker(stage, shard))
        return json.loads(found) if found else {}

    def counts(self, stage: str) -> dict[str, int]:
        """The stage's counts, summed over its shards."""
        total: Counter[str] = Counter()
        for shard in self.shards(stage):
            total.update(json.loads(self.bucket.get(self._marker(stage, shard)))["counts"])
        return dict(sorted(total.items()))

    def finish(self, shards: Mapping[str, Iterable[str]], name: str = "manifest") -> dict[str, Any]:
        """Write the run's manifest last: shards by stage, checksums, counts and plan. Returns it.

        A second finish with the same bytes is nothing new; with other bytes a task was not deterministic, which is an
        error and never an overwrite.
        """
        markers = {f"{s}/{x}": json.loads(self.bucket.get(self._marker(s, x))) for s, xs in shards.items() for x in xs}
        manifest = {"plan": json.loads(self.plan_json()), "shards": markers}
        data = _json(manifest)
        key = f"{self.prefix}/{name}.json"
        if not self.bucket.put_new(key, data) and self.bucket.get(key) != data:
            raise PermanentError(
                f"{self.bucket.uri(key)} exists with other bytes: a task of this plan wrote something else before; "
                f"delete {self.bucket.uri(self.prefix)}/ and clear the run"
            )
        return manifest

    def _file(self, stage: str, shard: str, name: str) -> str:
        return f"{self.prefix}/{stage}/{shard}.{name}.parquet"

    def _marker(self, stage: str, shard: str) -> str:
        return f"{self.prefix}/{stage}/{shard}.json"

    def _verified(self, stage: str, shard: str, name: str) -> bytes:
        expected = json.loads(self.bucket.get(self._marker(stage, shard)))["files"][name]["sha256"]
        key = self._file(stage, shard, name)
        data = self.bucket.get(key)
        if (found := hashlib.sha256(data).hexdigest()) != expected:
            raise CorruptShardError(self.bucket.uri(key), expected, found)
        return data


def check_counts(counts: Mapping[str, int], where: str) -> None:
    """Per thing counted (``images.in``, ``images.kept``, ``images.rejected.<reason>``): in = kept + rejected.

    Raises PermanentError otherwise: nothing is dropped silently.
    """
    for name, n_in in counts.items():
        thing, _, what = name.partition(".")
        if what != "in":
            continue
        kept = counts[f"{thing}.kept"]
        rejected = sum(n for other, n in counts.items() if other.startswith(f"{thing}.rejected."))
        if n_in != kept + rejected:
            raise PermanentError(f"{where}: {n_in} {thing} in, but {kept} kept and {rejected} rejected")


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as parquet: the same rows and schema give the same bytes with the same pyarrow."""
    sink = io.BytesIO()
    pq.write_table(table.combine_chunks(), sink, compression="zstd", store_schema=True, write_page_checksum=True)
    return sink.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1).encode()
