"""What a release changes against the one published before it: its changelog, made when it is published."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.release_rows import Row
    from realsyn_ops.io.shards import Staging

_KEPT = "changelog.json"


def changelog_files(staging: "Staging", selection: "pa.Table") -> tuple[str, dict[str, bytes]]:
    """The release published before, and the changelog's files by name; none for a first release.

    A release that is published keeps the changelog that it has, whatever has been published since.
    """
    from realsyn_ops.io.release_changes import changelog, changes_since
    from realsyn_ops.io.releases import is_published, newest

    bucket, version = staging.bucket, staging.partition
    kept = bucket.find(f"{staging.prefix}/{_KEPT}") if is_published(bucket, version) else None
    if kept:
        found = json.loads(kept)
        return found["previous"], {name: text.encode() for name, text in found["files"].items()}
    previous = newest(bucket)
    files = changelog(changes_since(bucket, previous, version, _staged_rows(staging), selection)) if previous else {}
    texts = {name: data.decode() for name, data in files.items()}
    staging.put(_KEPT, json.dumps({"previous": previous, "files": texts}).encode())
    return previous, files


def _staged_rows(staging: "Staging") -> "Iterator[Row]":
    """What will be published, in order of key."""
    from realsyn_ops.io.release_changes import ROW
    from realsyn_ops.io.release_rows import merge_runs, pair_files

    prefix = f"{staging.prefix}/release/"
    files = [{"path": item.key.removeprefix(prefix)} for item in staging.bucket.list(f"{prefix}pairs/")]
    runs = pair_files({"files": files, "selection": json.loads(staging.get("selection.json"))})
    return merge_runs([_tables(staging, prefix, run) for run in runs], ROW)


def _tables(staging: "Staging", prefix: str, paths: list[str]) -> "Iterator[pa.Table]":
    import io

    import pyarrow.parquet as pq

    for path in paths:
        yield pq.read_table(io.BytesIO(staging.bucket.get(prefix + path)))
