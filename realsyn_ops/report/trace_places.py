"""Where a record stands in the raw input: every place with its document, file, record and node."""

from typing import Any

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.records import url_key
from realsyn_ops.report.places import among, quoted
from realsyn_ops.report.trace_steps import rows_of

MAX_PLACES = 100
_OF_NODE = {
    "image_nodes": ["document_key", "node", "src", "url", "alt", "caption"],
    "sentence_nodes": ["document_key", "node", "position"],
}
_OF_DOCUMENT = ["source", "file", "record", "url", "title"]
_OF_FETCH = ["final_url", "host", "status", "etag", "last_modified", "n_bytes", "n_tries"]


def places_of(corpus: Corpus, nodes: str, key: str) -> tuple[int, list[dict[str, Any]]]:
    """How many places the record has, and the first of them in order of day, document and node.

    ``record`` is the member of a bundle, ``#ROW`` of a table (behind its member in a bundle) or ``@BYTE`` of an
    archive; ``node`` counts the document's texts and images from 0. A fetched image also says how it was fetched.
    """
    rows = rows_of(corpus, nodes, key, _OF_NODE[nodes])
    rows.sort(key=lambda row: (row["day"], row["document_key"], row["node"], row.get("position", 0)))
    shown = rows[:MAX_PLACES]
    documents: dict[str, dict[str, Any]] = {}
    for table in corpus.scan("documents", ["key", *_OF_DOCUMENT], where=among({r["document_key"] for r in shown})):
        documents |= {row["key"]: row for row in table.to_pylist()}
    return len(rows), [_place(corpus, row, documents.get(row["document_key"], {})) for row in shown]


def _place(corpus: Corpus, row: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    place = {"day": row["day"], "document": row["document_key"]}
    place |= {name: document.get(name) or "" for name in _OF_DOCUMENT}
    place |= {"node": row["node"]}
    if "position" in row:
        return place | {"position": row["position"]}
    place |= {"src": row["src"], "alt": row["alt"], "caption": row["caption"], "fetched": None}
    if row["url"]:
        where = f"key = {quoted(url_key(row['url']))}"
        found = [r for t in corpus.scan("fetches", _OF_FETCH, day=row["day"], where=where) for r in t.to_pylist()]
        place["fetched"] = {"url": row["url"], **(found[0] if found else {})}
    return place
