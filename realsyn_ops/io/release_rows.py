"""The rows of a published release: in order of key, or one of them, without reading the rest.

The parquet files under ``pairs/`` follow each other in order of key, so the file that holds a key is found by halving,
by the statistics in the files' footers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realsyn_ops.io.releases import read_manifest
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket

TEXT_KEYS = ("text1_key", "text2_key", "text3_key")
_BATCH_ROWS = 10_000


def pair_files(bucket: Bucket, version: str) -> list[str]:
    """Paths in the release of the files that hold its rows, in order."""
    paths = [file["path"] for file in read_manifest(bucket, version)["files"]]
    return sorted(path for path in paths if path.startswith("pairs/") and path.endswith(".parquet"))


def scan_rows(bucket: Bucket, version: str, columns: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """All rows in order of key, some thousand at a time, each with the file that holds them."""
    for path in pair_files(bucket, version):
        with _opened(bucket, version, path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                yield path, pa.Table.from_batches([batch])


def find_row(bucket: Bucket, version: str, key: str) -> tuple[str, dict[str, Any]] | None:
    """The row of an image and the file that holds it; None when the release has it not."""
    paths = pair_files(bucket, version)
    first, last = 0, len(paths)
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (middle, last) if _first_key(bucket, version, paths[middle]) <= key else (first, middle)
    found = read_row(bucket, version, paths[first], key) if paths else None
    return (paths[first], found) if found else None


def read_row(bucket: Bucket, version: str, path: str, key: str) -> dict[str, Any] | None:
    """An image's row in one file."""
    with _opened(bucket, version, path) as file:
        keys = file.read(columns=["key"])["key"]
        place = pc.index(keys, key).as_py()
        return file.read().slice(place, 1).to_pylist()[0] if place >= 0 else None


def rows_with_text(bucket: Bucket, version: str, sentence_key: str) -> list[dict[str, Any]]:
    """``key``, ``rank`` and ``file`` of every row that has this sentence as a text. Reads the keys of all rows."""
    found = []
    for path, table in scan_rows(bucket, version, ["key", *TEXT_KEYS]):
        for rank, name in enumerate(TEXT_KEYS, 1):
            mine = table["key"].filter(pc.equal(table[name], sentence_key))
            found += [{"key": key, "rank": rank, "file": path} for key in mine.to_pylist()]
    return sorted(found, key=lambda row: (row["key"], row["rank"]))


def read_selection(bucket: Bucket, version: str) -> pa.Table | None:
    """What a release said of each pair (``key, day, cluster, similarity, reason``), while its staging is there."""
    prefix = f"staging/release_dataset/{version}/"
    found = [item.key for item in bucket.list(prefix) if item.key.endswith("/select/all.json")]
    if not version or not found:
        return None
    return Staging(bucket, found[0].removesuffix("/select/all.json")).read_shard("select", "all", "selection")


def _first_key(bucket: Bucket, version: str, path: str) -> str:
    with _opened(bucket, version, path) as file:
        column = file.schema.names.index("key")
        statistics = file.metadata.row_group(0).column(column).statistics
        return statistics.min if statistics is not None else file.read(columns=["key"])["key"][0].as_py()


@contextmanager
def _opened(bucket: Bucket, version: str, path: str) -> Iterator[pq.ParquetFile]:
    with bucket.open(f"releases/{version}/{path}") as raw, pq.ParquetFile(raw) as file:
        yield file
