"""Faults planted in staged data, as if the task before had written them: other content with matching checksums."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.io.shards import parquet_bytes
from realsyn_ops.io.storage import Bucket

Change = Callable[[pa.Table], pa.Table]


@contextmanager
def planted(bucket: Bucket, prefix: str, stage: str, name: str, change: Change) -> Iterator[None]:
    """A run's staged shards with another content and matching checksums, as if their task had written that."""
    originals = {}
    for item in list(bucket.list(f"{prefix}/{stage}/")):
        if item.key.endswith(f".{name}.parquet"):
            marker_key = item.key.removesuffix(f".{name}.parquet") + ".json"
            originals |= {key: bucket.get(key) for key in (item.key, marker_key)}
            data = parquet_bytes(change(pq.read_table(pa.BufferReader(originals[item.key]))))
            marker = json.loads(originals[marker_key])
            marker["files"][name]["sha256"] = hashlib.sha256(data).hexdigest()
            bucket.put(item.key, data)
            bucket.put(marker_key, json.dumps(marker).encode())
    assert originals, f"no {name} in {stage} of {prefix}"
    forget_manifests(bucket, prefix)
    try:
        yield
    finally:
        for key, data in originals.items():
            bucket.put(key, data)
        forget_manifests(bucket, prefix)


def forget_manifests(bucket: Bucket, prefix: str) -> None:
    for item in list(bucket.list(f"{prefix}/manifest")):
        bucket.delete(item.key)


def all_rows(**values: object) -> Change:
    """Every row gets these values."""
    return lambda table: _with(table, {name: [value] * table.num_rows for name, value in values.items()})


def first_row(**values: object) -> Change:
    """The first row gets these values."""
    return lambda table: _with(
        table, {name: [value, *table[name].to_pylist()[1:]] for name, value in values.items()} if len(table) else {}
    )


def long_vectors(table: pa.Table) -> pa.Table:
    return _with(table, {"embedding": [[2 * x for x in vector] for vector in table["embedding"].to_pylist()]})


def _with(table: pa.Table, columns: dict[str, list[object]]) -> pa.Table:
    for name, values in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    return table
