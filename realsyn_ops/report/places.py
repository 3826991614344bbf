"""Where records stand: for keys of a table their first place in a document, and how many places there are."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.thresholds import Step

_LOOKUP = 200
Place = dict[str, Any]


def places_of(corpus: Corpus, step: Step, rows: list[dict[str, Any]], source: str) -> dict[str, tuple[Place, int]]:
    """By key the first place, in order of day, document and node, and how many there are (of the source, if named)."""
    if step.stage == "fetch":
        return {row["key"]: ({"url": row["url"]}, 1) for row in rows}
    if step.stage == "extract":
        own = ("source", "file", "record", "node")
        documents = _documents(corpus, {row["document_key"] for row in rows if row["document_key"]}, source)
        return {
            row["key"]: (
                {**{name: row[name] for name in own}, "url": documents.get(row["document_key"], {}).get("url") or ""},
                1,
            )
            for row in rows
        }
    nodes: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    table_of_nodes = "sentence_nodes" if step.of == "sentences" else "image_nodes"
    columns = ["key", "day", "document_key", "node"]
    for table in corpus.scan(table_of_nodes, columns, where=among(row["key"] for row in rows)):
        for node in table.to_pylist():
            nodes[node["key"]].append((node["day"], node["document_key"], node["node"]))
    wanted = {document for places in nodes.values() for _, document, _ in (places if source else [min(places)])}
    documents = _documents(corpus, wanted, source)
    found = {}
    for key, places in nodes.items():
        mine = [place for place in places if place[1] in documents] if source else places
        if mine:
            _, document, node = min(mine)
            about = documents.get(document, {})
            place = {name: about.get(name) or "" for name in ("source", "file", "record", "url")}
            found[key] = (place | {"node": node}, len(mine))
    return found


def _documents(corpus: Corpus, keys: Iterable[str], source: str) -> dict[str, Place]:
    wanted = sorted(set(keys))
    found: dict[str, Place] = {}
    columns = ["key", "source", "file", "record", "url"]
    for start in range(0, len(wanted), _LOOKUP):
        where = among(wanted[start : start + _LOOKUP]) + (f" AND source = {quoted(source)}" if source else "")
        for table in corpus.scan("documents", columns, where=where):
            found |= {row["key"]: row for row in table.to_pylist()}
    return found


def among(keys: Iterable[str]) -> str:
    return f"key IN ({', '.join(map(quoted, sorted(keys))) or quoted('')})"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
