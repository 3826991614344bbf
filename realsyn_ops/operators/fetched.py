"""What was fetched for a shard, read back: documents with their images' bytes or reasons, and the rows of `fetches`."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from realsyn_ops.records import Document, ImageNode, Node, Reason, Reject

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging

FETCH = "fetch"
_HELD_PARTS = 4


def with_fetched(
    documents: Iterable[Document | Reject], staging: "Staging", shard: str, *, max_document_bytes: int
) -> Iterator[Document | Reject]:
    """The documents with the bytes, or the reason, of every image that was fetched for their shard.

    No document gets more than `max_document_bytes` of them, each image counted once.
    """
    parts = parts_of(staging, shard)
    if not parts:
        yield from documents
        return
    answers = _StagedAnswers(staging, parts)
    for document in documents:
        if isinstance(document, Document):
            document = replace(document, nodes=answers.fill(document.nodes, max_document_bytes))
        yield document


def fetch_rows(staging: "Staging", columns: list[str]) -> "Iterator[pa.Table]":
    """The day's rows of `fetches`: each URL once, by the first shard that asked for it, in order of key."""
    import pyarrow as pa

    from realsyn_ops.io import schemas

    seen: set[str] = set()
    tables = [schemas.FETCHES.empty_table()]
    for table in staging.read(FETCH, "fetches"):
        keys = table["key"].to_pylist()
        first = [i for i, key in enumerate(keys) if key not in seen and not seen.add(key)]  # type: ignore[func-returns-value]
        tables.append(table.take(pa.array(first, pa.int64())))
    yield pa.concat_tables(tables).sort_by("key").select(columns)


def parts_of(staging: "Staging", shard: str) -> list[str]:
    """The staged parts of a shard, `SHARD-NUMBER` each."""
    return [name for name in staging.shards(FETCH) if name.startswith(f"{shard}-")]


def is_remote(node: object) -> bool:
    return isinstance(node, ImageNode) and node.reason is Reason.IMAGE_REMOTE and bool(node.url)


class _StagedAnswers:
    """The staged answers of one shard. They came roughly in the order of the documents: few parts' bytes are held."""

    def __init__(self, staging: "Staging", parts: list[str]) -> None:
        self._staging = staging
        self._answers = {
            row["url"]: (row["reason"], row["detail"] or "", part, number)
            for part in parts
            for number, row in enumerate(
                staging.read_shard(FETCH, part, "fetches", columns=["url", "reason", "detail"]).to_pylist()
            )
        }
        self._held: dict[str, pa.ChunkedArray] = {}

    def fill(self, nodes: tuple[Node, ...], max_bytes: int) -> tuple[Node, ...]:
        """The nodes of one document, those that were asked for with bytes or reason."""
        filled: dict[str, ImageNode] = {}
        for node in nodes:
            if isinstance(node, ImageNode) and is_remote(node) and node.url in self._answers and node.url not in filled:
                filled[node.url] = self._filled(node, max_bytes)
                max_bytes -= len(filled[node.url].data or b"")
        return tuple(
            replace(node, data=found.data, reason=found.reason, detail=found.detail)
            if isinstance(node, ImageNode) and is_remote(node) and (found := filled.get(node.url))
            else node
            for node in nodes
        )

    def _filled(self, node: ImageNode, max_bytes: int) -> ImageNode:
        reason, detail, part, row = self._answers[node.url]
        if reason:
            return replace(node, reason=Reason(reason), detail=detail)
        data = self._bytes_of(part)[row].as_py()
        if len(data) > max_bytes:
            detail = f"{len(data)} bytes, {max_bytes} left to this document"
            return replace(node, reason=Reason.IMAGE_TOO_LARGE, detail=detail)
        return replace(node, data=data, reason=None, detail="")

    def _bytes_of(self, part: str) -> "pa.ChunkedArray":
        held = self._held.pop(part, None)
        if held is None:
            held = self._staging.read_shard(FETCH, part, "bytes", columns=["data"])["data"]
            while len(self._held) >= _HELD_PARTS:
                del self._held[next(iter(self._held))]
        self._held[part] = held
        return held
