"""The gallery's index: one SQLite file over the pairs in force, made by whoever shows the page, on its own disk.

A card holds what a page of the gallery shows of a pair, ready to send; beside it stand what pairs are filtered by, the
words they are found by, and their vectors. Nothing of it is in the bucket, so that nothing of it has to be taken down
there: docs/decisions/0027-gallery.md. Run as a program, it reads what it has to know from its standard input.
"""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedowns import tombstones_digest
from realsyn_ops.report.wording import printable

MAX_PAIRS = 1_000_000
"""A gallery is for looking: of more pairs it holds these, the first in order of key, which is by chance."""
TABLES = ("pairs", "documents", "image_nodes", "sentence_nodes")
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE pairs (place INTEGER PRIMARY KEY, cluster INTEGER, source INTEGER, similarity INTEGER);
CREATE TABLE cards (place INTEGER PRIMARY KEY, key TEXT, card TEXT);
CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, tokenize="unicode61 remove_diacritics 2");
"""
_INDEXES = """
CREATE INDEX by_cluster ON pairs (cluster, place);
CREATE INDEX by_source ON pairs (source, place);
CREATE INDEX by_key ON cards (key);
"""
_PAIR = ["key", "day", "cluster", "text_keys", "texts", "similarities", "caption", "tags", "syn_text", "syn_origin",
         "syn_reason", "syn_similarity"]  # fmt: skip
_ROWS = 5_000
PER_MILLE = 1000
"""Similarities are kept as whole thousandths."""


def state_of(corpus: Corpus) -> dict[str, Any]:
    """What an index is made of: versions of the tables, and what was taken down."""
    versions = {name: corpus.version(name) for name in TABLES}
    return {"versions": versions, "taken_down": tombstones_digest(corpus.bucket)}


def build_index(corpus: Corpus, path: Path, *, max_pairs: int = MAX_PAIRS) -> int:
    """Write the index to a path where nothing is; returns how many pairs it holds. Visible only when it is whole."""
    state = state_of(corpus)
    pairs = _pairs(corpus, max_pairs)
    places = Places(corpus, pairs)
    return write_index(path, state, places.cards(pairs), places.sources, n_rows=corpus.n_rows("pairs"))


def write_index(
    path: Path, state: dict[str, Any], cards: Iterator[tuple[dict[str, Any], int]], sources: list[str], *, n_rows: int
) -> int:
    """The index of these cards, which come in order of key, each with the number of its source."""
    scratch = path.with_suffix(".partial")
    scratch.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(scratch)) as base:
        base.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;" + _SCHEMA)
        n_pairs = _write_cards(base, cards)
        base.executemany("INSERT INTO sources VALUES (?, ?)", enumerate(sources))
        about = {**state, "n_pairs": n_pairs, "n_rows": n_rows}
        base.executemany("INSERT INTO about VALUES (?, ?)", [(n, json.dumps(v)) for n, v in about.items()])
        base.executescript(_INDEXES + "INSERT INTO words(words) VALUES ('optimize'); ANALYZE;")
        base.commit()
    scratch.replace(path)
    return n_pairs


def _write_cards(base: sqlite3.Connection, cards: Iterator[tuple[dict[str, Any], int]]) -> int:
    held: list[tuple[int, dict[str, Any], int]] = []
    place = -1
    for place, (card, source) in enumerate(cards):
        held.append((place, card, source))
        if len(held) == _ROWS:
            _write(base, held)
            held = []
    _write(base, held)
    return place + 1


def _write(base: sqlite3.Connection, held: list[tuple[int, dict[str, Any], int]]) -> None:
    base.executemany(
        "INSERT INTO pairs VALUES (?, ?, ?, ?)",
        [(place, card["cluster"], source, _thousandths(card)) for place, card, source in held],
    )
    base.executemany(
        "INSERT INTO cards VALUES (?, ?, ?)",
        [(place, card["key"], json.dumps(card, ensure_ascii=False)) for place, card, _ in held],
    )
    base.executemany(
        "INSERT INTO words(rowid, text) VALUES (?, ?)", [(place, _searched(card)) for place, card, _ in held]
    )


def _thousandths(card: dict[str, Any]) -> int:
    return round(PER_MILLE * max((text["similarity"] for text in card["texts"]), default=0))


def _searched(card: dict[str, Any]) -> str:
    texts = (text["text"] for text in card["texts"])
    return "\n".join((*texts, card["caption"], card["syn_text"], *card["tags"]))


def _pairs(corpus: Corpus, max_pairs: int) -> pa.Table:
    """The pairs in force, in order of key, which is a hash: the first of them are a sample."""
    if not corpus.exists("pairs"):
        return pa.table({name: pa.array([], pa.string()) for name in _PAIR})
    keys = corpus.read("pairs", ["key", "day"], where="reason IS NULL")
    where = "reason IS NULL"
    if keys.num_rows > max_pairs:
        last = keys["key"][max_pairs - 1].as_py()
        where += f" AND key <= '{last}'"
    return corpus.read("pairs", _PAIR, where=where)


class Places:
    """Where the pairs' images and texts stand first: in order of day, document and node."""

    def __init__(self, corpus: Corpus, pairs: pa.Table) -> None:
        self.sources: list[str] = []
        columns = ["key", "source", "url", "title"]
        documents = [*corpus.scan("documents", columns)]
        about = pa.concat_tables(documents) if documents else pa.table({n: pa.array([], pa.string()) for n in columns})
        self._document_keys = about["key"].combine_chunks()
        sources = about["source"].combine_chunks().dictionary_encode()
        self.sources = [name or "" for name in sources.dictionary.to_pylist()]
        self._source = sources.indices
        self._url, self._title = about["url"].combine_chunks(), about["title"].combine_chunks()
        self._images = self._first(corpus, "image_nodes", pairs["key"])
        texts = pc.unique(pc.list_flatten(pairs["text_keys"])) if pairs.num_rows else pa.array([], pa.string())
        self._texts = self._first(corpus, "sentence_nodes", texts)

    def cards(self, pairs: pa.Table) -> Iterator[tuple[dict[str, Any], int]]:
        for start in range(0, pairs.num_rows, _ROWS):
            part = pairs.slice(start, _ROWS)
            images = self._found(self._images, part["key"])
            flat = pc.list_flatten(part["text_keys"])
            texts = iter(self._found(self._texts, flat))
            for row, image in zip(part.to_pylist(), images, strict=True):
                yield self._card(row, image, [next(texts) for _ in row["text_keys"]])

    def _card(self, row: dict[str, Any], image: int, texts: list[int]) -> tuple[dict[str, Any], int]:
        found = zip(row["texts"], row["similarities"], row["text_keys"], texts, strict=True)
        card = {
            **{name: row[name] or "" for name in ("key", "day", "caption", "syn_text", "syn_origin", "syn_reason")},
            "cluster": row["cluster"],
            "tags": row["tags"] or [],
            "syn_similarity": _rounded(row["syn_similarity"]),
            "origin": self._origin(image),
            "texts": [
                {"key": key, "text": text, "similarity": _rounded(similarity), "origin": self._origin(document)}
                for text, similarity, key, document in found
            ],
        }
        return printable(card) | {"cluster": row["cluster"]}, self._source[image].as_py() if image >= 0 else -1

    def _origin(self, document: int) -> dict[str, str]:
        if document < 0:
            return {"source": "", "title": "", "url": ""}
        name = self.sources[self._source[document].as_py()]
        return {"source": name, "title": self._title[document].as_py() or "", "url": self._url[document].as_py() or ""}

    def _first(self, corpus: Corpus, table: str, keys: Any) -> tuple[pa.Array, np.ndarray]:
        """The keys that stand anywhere, and the number of the document where each stands first."""
        wanted = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
        columns = ["key", "day", "document_key", "node"]
        parts = [part.filter(pc.is_in(part["key"], wanted)) for part in corpus.scan(table, columns)]
        if not parts:
            return pa.array([], pa.string()), np.zeros(0, np.int64)
        nodes = pa.concat_tables(parts).sort_by([(n, "ascending") for n in ("day", "document_key", "node")])
        first = nodes.group_by("key", use_threads=False).aggregate([("document_key", "first")])
        numbers = pc.fill_null(pc.index_in(first["document_key_first"], self._document_keys), -1)
        return first["key"].combine_chunks(), numbers.to_numpy()

    @staticmethod
    def _found(first: tuple[pa.Array, np.ndarray], keys: Any) -> list[int]:
        places = pc.fill_null(pc.index_in(keys, first[0]), -1).to_numpy()
        padded = np.append(first[1], -1)
        return padded[places].tolist()


def _rounded(similarity: float | None) -> float | None:
    return None if similarity is None else round(float(similarity), 4)


def main() -> None:
    asked = json.load(sys.stdin)
    build_index(Corpus(Bucket(**asked["bucket"])), Path(asked["path"]), max_pairs=asked["max_pairs"])


if __name__ == "__main__":
    main()
