"""A day's staged extraction as if one shard had held it all: what the gate looks at and `publish` commits.

A document that a later shard repeats is a reject there, with its nodes; an image or sentence that several shards hold
is one row.
"""

from collections import Counter
from typing import TYPE_CHECKING

from realsyn_ops.operators.run import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from realsyn_ops.io.corpus import Rows
    from realsyn_ops.io.shards import Staging

STAGE = "extract"


def day_rows(staging: "Staging", name: str) -> "Rows":
    """A day's rows of a staged data set; may be called more than once."""
    if name in {"images", "sentences"}:
        return lambda columns: _unique_rows(staging, name, columns)
    return lambda columns: _first_rows(staging, name, columns)


def _first_rows(staging: "Staging", name: str, columns: list[str]) -> "Iterator[pa.Table]":
    import pyarrow as pa
    import pyarrow.compute as pc

    repeats = _repeated_documents(staging)
    own = "key" if name == "documents" else "document_key"
    for shard in staging.shards(STAGE):
        repeated = repeats[shard]
        if not repeated:
            yield staging.read_shard(STAGE, shard, name, columns=columns)
            continue
        table = staging.read_shard(STAGE, shard, name)
        table = table.filter(pc.invert(pc.is_in(table[own], pa.array(sorted(repeated)))))
        if name == "rejects":
            table = pa.concat_tables([table, _repeat_rejects(staging, shard, repeated)]).sort_by("key")
        yield table.select(columns)


def _repeated_documents(staging: "Staging") -> dict[str, set[str]]:
    """Per shard the documents that an earlier shard holds already."""
    seen: set[str] = set()
    repeats = {}
    for shard in staging.shards(STAGE):
        keys = set(staging.read_shard(STAGE, shard, "documents", columns=["key"])["key"].to_pylist())
        repeats[shard] = keys & seen
        seen |= keys
    return repeats


def _repeat_rejects(staging: "Staging", shard: str, repeated: set[str]) -> "pa.Table":
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.records import Reason

    documents = staging.read_shard(STAGE, shard, "documents").to_pylist()
    rows = [
        {name: row[name] for name in ("day", "source", "file", "record")}
        | {"key": f"r{digest([row['file'], row['record'], row['key']])}", "document_key": row["key"], "node": -1}
        | {"stage": STAGE, "reason": Reason.IDENTICAL, "detail": "same document as one of an earlier shard"}
        for row in documents
        if row["key"] in repeated
    ]
    return pa.Table.from_pylist(rows, schema=schemas.REJECTS)


def _unique_rows(staging: "Staging", name: str, columns: list[str]) -> "Iterator[pa.Table]":
    """Each key once, in the first shard that holds it, with the number of its places in all shards."""
    import pyarrow as pa

    n_nodes: Counter[str] = Counter()
    for table in _first_rows(staging, f"{name[:-1]}_nodes", ["key"]):
        n_nodes.update(table["key"].to_pylist())
    seen: set[str] = set()
    for table in staging.read(STAGE, name, columns=list(dict.fromkeys(["key", *columns]))):
        keys = table["key"].to_pylist()
        first = [i for i, key in enumerate(keys) if key not in seen]
        seen.update(keys)
        table = table.take(pa.array(first, pa.int64()))
        if "n_nodes" in columns:
            places = pa.array([n_nodes[keys[i]] for i in first], pa.int32())
            table = table.set_column(table.column_names.index("n_nodes"), "n_nodes", places)
        yield table.select(columns)
