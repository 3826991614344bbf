"""Where records stand: their first place in a document, and which of them stand in documents of one source.

A row of a quality table is about the places of its own day, one of the other tables about those of all days.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.thresholds import Step

_LOOKUP = 200
Place = dict[str, Any]
Id = tuple[str, str]
"""Key and day of a row; the day is empty where all days are meant."""


def row_id(step: Step, key: str, day: str) -> Id:
    return key, day if step.part == "quality" else ""


def first_places(corpus: Corpus, step: Step, rows: list[dict[str, Any]], source: str) -> dict[Id, Place]:
    """Each row's first place, of the source if one is named: in order of day, document and node."""
    if step.stage == "fetch":
        return {row_id(step, row["key"], row["day"]): {"url": row["url"]} for row in rows}
    if step.stage == "extract":
        documents = _documents(corpus, {row["document_key"] for row in rows if row["document_key"]}, source)
        return {
            row_id(step, row["key"], row["day"]): {
                **{name: row[name] for name in ("source", "file", "record", "node")},
                "url": documents.get(row["document_key"], {}).get("url") or "",
            }
            for row in rows
        }
    nodes: dict[Id, list[tuple[str, str, int]]] = defaultdict(list)
    columns = ["key", "day", "document_key", "node"]
    for table in corpus.scan(_nodes(step), columns, where=among({row["key"] for row in rows})):
        for node in table.to_pylist():
            place = (node["day"], node["document_key"], node["node"])
            nodes[row_id(step, node["key"], node["day"])].append(place)
    wanted = {document for places in nodes.values() for _, document, _ in (places if source else [min(places)])}
    documents = _documents(corpus, wanted, source)
    found = {}
    for of, places in nodes.items():
        if mine := [place for place in places if place[1] in documents]:
            _, document, number = min(mine)
            about = documents[document]
            found[of] = {name: about[name] or "" for name in ("source", "file", "record", "url")} | {"node": number}
    return found


def source_documents(corpus: Corpus, source: str) -> pa.Array:
    """Keys of the documents of a source."""
    tables = list(corpus.scan("documents", ["key"], where=f"source = {quoted(source)}"))
    return pa.concat_arrays([pa.array([], pa.string()), *(c for table in tables for c in table["key"].chunks)])


def places_in(corpus: Corpus, step: Step, rows: pa.Table, documents: pa.Array) -> Counter[Id]:
    """How many places each of these rows has in these documents; rows without any are not there."""
    n: Counter[Id] = Counter()
    if not rows.num_rows:
        return n
    first, last = (quoted(value.as_py()) for value in pc.min_max(rows["key"]).values())
    keys = rows["key"].combine_chunks()
    where = f"key >= {first} AND key <= {last}"
    for table in corpus.scan(_nodes(step), ["key", "day", "document_key"], where=where):
        mine = table.filter(pc.and_(pc.is_in(table["document_key"], documents), pc.is_in(table["key"], keys)))
        for row in mine.group_by(["key", "day"]).aggregate([([], "count_all")]).to_pylist():
            n[row_id(step, row["key"], row["day"])] += row["count_all"]
    return n


def _nodes(step: Step) -> str:
    return "sentence_nodes" if step.of == "sentences" else "image_nodes"


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
