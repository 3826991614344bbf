"""The bucket's bytes, looked through: where anything that was taken down is still to be found.

Objects are read as they are; tables and parquet files, whose bytes are compressed, as the values that they hold, too. A
file of a table that its last version does not name counts as found: nobody would know what it holds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket, ObjectInfo
from realsyn_ops.takedown.needles import Hit, Needles

_PART = 2**25
_ORPHAN = "file of no version"


@dataclass(frozen=True, slots=True, order=True)
class Trace:
    """``kind``: image, vector, text or key, or a file that no version of its table names."""

    place: str
    kind: str
    key: str = ""


def scan(bucket: Bucket, needles: Needles, items: Iterable[ObjectInfo]) -> Iterator[Trace]:
    """Traces in these objects, each once."""
    tables = set()
    for item in items:
        has_values = ".lance/" in item.key or item.key.endswith(".parquet")
        found = {hit for part in _parts(bucket, item, needles.longest) for hit in needles.hits(part)}
        found = {hit for hit in found if not (has_values and hit.kind == "text")}
        if ".lance/" in item.key:
            tables.add(item.key.split(".lance/")[0].removeprefix("corpus/"))
        elif has_values:
            found |= _parquet(bucket, item, needles)
        yield from (Trace(item.key, hit.kind, hit.key) for hit in sorted(found))
    for name in sorted(tables):
        yield from _table(Corpus(bucket), name, needles)


def hits_of(values: pa.Table, needles: Needles) -> Iterator[Hit]:
    """What is found among a table's values. A text counts where a value is it, not where a longer one holds it."""
    for column in values.columns:
        for array in column.chunks:
            for buffer in array.buffers():
                if buffer is not None:
                    yield from (hit for hit in needles.hits(memoryview(buffer)) if hit.kind != "text")
        yield from _equal(column, needles)


def _parts(bucket: Bucket, item: ObjectInfo, overlap: int) -> Iterator[bytes]:
    """The object's bytes, a part at a time: whatever is not longer than the overlap is whole in one of them."""
    if item.n_bytes <= _PART:
        yield bucket.get(item.key)
        return
    with bucket.open(item.key) as file:
        held = b""
        while part := file.read(_PART):
            held = held[-overlap:] + part
            yield held


def _parquet(bucket: Bucket, item: ObjectInfo, needles: Needles) -> set[Hit]:
    with bucket.open(item.key) as raw, pq.ParquetFile(raw) as file:
        return {hit for batch in file.iter_batches(1_024) for hit in hits_of(pa.Table.from_batches([batch]), needles)}


def _table(corpus: Corpus, name: str, needles: Needles) -> Iterator[Trace]:
    rows, named = corpus.whole(name)
    prefix = f"corpus/{name}.lance/"
    found = {hit for part in rows for hit in hits_of(part, needles)}
    yield from (Trace(prefix, hit.kind, hit.key) for hit in sorted(found))
    for item in corpus.bucket.list(f"{prefix}data/"):
        if item.key.removeprefix(f"{prefix}data/") not in named:
            yield Trace(item.key, _ORPHAN)


def _equal(column: pa.ChunkedArray, needles: Needles) -> Iterator[Hit]:
    values = column
    while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values = pc.list_flatten(values)
    if needles.texts and (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        wanted = pa.array(list(needles.texts), values.type)
        for text in pc.unique(values.filter(pc.is_in(values, wanted))).to_pylist():
            yield Hit("text", needles.texts[text])
