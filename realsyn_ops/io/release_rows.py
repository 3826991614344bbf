"""The rows of a published release: in order of key, or one of them, without reading the rest.

The parquet files under ``pairs/`` follow each other in order of key; of a release of several scales those of each scale
do, the smallest first. So the file that holds a key is found by halving, by the statistics in the files' footers.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realsyn_ops.io.releases import read_manifest
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket

TEXT_KEYS = ("text1_key", "text2_key", "text3_key")
_BATCH_ROWS = 10_000
Row = tuple[Any, ...]


def pair_files(manifest: Mapping[str, Any]) -> list[list[str]]:
    """Paths of the files that hold the rows, in runs: the files of a run follow each other in order of key."""
    paths = [file["path"] for file in manifest["files"]]
    paths = sorted(path for path in paths if path.startswith("pairs/") and path.endswith(".parquet"))
    scales = manifest["selection"].get("scales", ())
    ends = sorted({0, len(paths), *(scale["n_shards"] for scale in scales)})
    return [paths[start:stop] for start, stop in pairwise(ends) if paths[start:stop]]


def scan_rows(bucket: Bucket, version: str, columns: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """All rows as they lie in the files, some thousand at a time, each with its file."""
    for run in pair_files(read_manifest(bucket, version)):
        yield from _scan_files(bucket, version, run, columns)


def sorted_rows(bucket: Bucket, version: str, columns: list[str]) -> Iterator[Row]:
    """Values of these columns of all rows, in order of the first, which is the key."""
    runs = pair_files(read_manifest(bucket, version))
    return merge_runs([(t for _, t in _scan_files(bucket, version, run, columns)) for run in runs], columns)


def merge_runs(runs: Iterable[Iterable[pa.Table]], columns: list[str]) -> Iterator[Row]:
    """Rows of tables in runs, each in order of the first column, in order over all."""
    return heapq.merge(*(_tuples(run, columns) for run in runs), key=lambda row: row[0])


def find_row(bucket: Bucket, version: str, key: str) -> tuple[str, dict[str, Any]] | None:
    """The row of an image and the file that holds it; None when the release has it not."""
    for paths in pair_files(read_manifest(bucket, version)):
        first, last = 0, len(paths)
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (middle, last) if _first_key(bucket, version, paths[middle]) <= key else (first, middle)
        if found := read_row(bucket, version, paths[first], key):
            return paths[first], found
    return None


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


def _scan_files(bucket: Bucket, version: str, paths: list[str], columns: list[str]) -> Iterator[tuple[str, pa.Table]]:
    for path in paths:
        with _opened(bucket, version, path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                yield path, pa.Table.from_batches([batch])


def _tuples(tables: Iterable[pa.Table], columns: list[str]) -> Iterator[Row]:
    for table in tables:
        yield from zip(*(table[name].to_pylist() for name in columns), strict=True)


def _first_key(bucket: Bucket, version: str, path: str) -> str:
    with _opened(bucket, version, path) as file:
        column = file.schema.names.index("key")
        statistics = file.metadata.row_group(0).column(column).statistics
        return statistics.min if statistics is not None else file.read(columns=["key"])["key"][0].as_py()


@contextmanager
def _opened(bucket: Bucket, version: str, path: str) -> Iterator[pq.ParquetFile]:
    with bucket.open(f"releases/{version}/{path}") as raw, pq.ParquetFile(raw) as file:
        yield file
