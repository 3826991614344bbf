"""What ingestion would have refused: rows of `rejects` for documents and images that are taken down."""

from collections import defaultdict
from typing import Any

import pyarrow as pa

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.schemas import REJECTS
from realsyn_ops.records import Reason, Reject
from realsyn_ops.stages.extract import reject_row
from realsyn_ops.takedown.find import Work
from realsyn_ops.tombstones import Tombstones

Rows = list[dict[str, Any]]


def new_rejects(corpus: Corpus, work: Work, down: Tombstones) -> dict[str, Rows]:
    """By day; read before the documents and nodes are removed."""
    rows: dict[str, Rows] = defaultdict(list)
    documents = corpus.read("documents", ["key", "day", "url", "source", "file", "record"]).to_pylist()
    of = {(row["day"], row["key"]): row for row in documents}
    gone = set(work.documents)
    for row in documents:
        if row["key"] in gone:
            rows[row["day"]].append(_row(row, -1, down.document(row["key"], row["url"] or "")))
    for node in corpus.read("image_nodes", ["key", "day", "document_key", "node", "url"]).to_pylist():
        document = of.get((node["day"], node["document_key"]))
        by = down.url(node["url"] or "") or down.image(node["key"])
        if by and document and node["document_key"] not in gone:
            rows[node["day"]].append(_row(document, node["node"], by))
    return dict(rows)


def publish_rejects(corpus: Corpus, new: dict[str, Rows], work: Work, down: Tombstones, *, message: str) -> None:
    """Put them in the place of what the table said of these documents; nothing else of it changes."""
    gone, days = set(work.documents), sorted({*new, *work.days})
    changed = {}
    for day in days:
        there = corpus.read("rejects", REJECTS.names, day=day).to_pylist() if corpus.exists("rejects") else []
        kept = [row for row in there if row["document_key"] not in gone or row["reason"] == Reason.TAKEN_DOWN]
        again = [
            _row(row | {"key": row["document_key"]}, -1, down.document(row["document_key"], ""))
            for row in there
            if row["document_key"] in gone and row["reason"] == Reason.IDENTICAL
        ]
        rows = {row["key"]: row for row in (*kept, *again, *new.get(day, ()))}
        table = pa.Table.from_pylist(sorted(rows.values(), key=lambda row: row["key"]), schema=REJECTS)
        changed[day] = lambda columns, table=table: [table.select(columns)]
    if changed:
        corpus.publish("rejects", REJECTS, changed, message=message)


def _row(document: dict[str, Any], node: int, by: str) -> dict[str, Any]:
    source, file, record = (document[name] for name in ("source", "file", "record"))
    reject = Reject("extract", Reason.TAKEN_DOWN, source, file, record, document["key"], node, by)
    return reject_row(reject, document["day"])
