"""Pages of the gallery out of its index: by place, filter and words, in order of key. Threads may share one."""

import json
import re
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realsyn_ops.page.gallery_index import PER_MILLE

PAGE_PAIRS = 12
_MMAP_BYTES = 2**36
_WORD = re.compile(r"[^\W_]+")
MAX_WORDS = 8


@dataclass(frozen=True, kw_only=True)
class Asked:
    """``after``: the place of the last pair of the page before. Similarity is that of a pair's best text."""

    words: str = ""
    cluster: int | None = None
    source: str = ""
    min_similarity: float = -1.0
    max_similarity: float = 1.0
    after: int = -1


class GalleryIndex:
    """An index file, open for reading. Its file may be replaced meanwhile: this one goes on showing what it had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._local = threading.local()
        self.about = {n: json.loads(v) for n, v in self._base().execute("SELECT name, value FROM about")}
        self.sources = {name: number for number, name in self._base().execute("SELECT id, name FROM sources")}

    def find_page(self, asked: Asked) -> tuple[list[str], int | None]:
        """Cards, as JSON, of the next pairs; and the place to go on after, None at the end."""
        if asked.source and asked.source not in self.sources:
            return [], None
        sql, values = _query(asked, self.sources.get(asked.source))
        rows = self._base().execute(sql, (*values, PAGE_PAIRS + 1)).fetchall()
        shown = rows[:PAGE_PAIRS]
        return [card for _, card in shown], shown[-1][0] if len(rows) > PAGE_PAIRS else None

    def find_card(self, key: str) -> str | None:
        row = self._base().execute("SELECT card FROM cards WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def find_cards(self, keys: list[str]) -> list[str]:
        """Cards of those that are in the index, in the order of the keys."""
        return [card for card in map(self.find_card, keys) if card is not None]

    def _base(self) -> Any:
        base = getattr(self._local, "base", None)
        if base is None:
            base = sqlite3.connect(self._uri, uri=True, check_same_thread=False)
            base.execute(f"PRAGMA mmap_size={_MMAP_BYTES}")
            self._local.base = base
        return base


def _query(asked: Asked, source: int | None) -> tuple[str, list[Any]]:
    """What is rare is looked up, what is frequent is then checked of it: a cluster's pairs before those with a word."""
    words = _WORD.findall(asked.words)[:MAX_WORDS]
    tables, conditions, values = ["pairs AS p"], [], []
    if words:
        matched = " ".join(f'"{word}"' for word in words)
        tables = ["words", *tables] if asked.cluster is None else [*tables, "words"]
        conditions += ["words.rowid = p.place", "words MATCH ?", "words.rowid > ?"]
        values += [matched, asked.after]
    conditions.append("p.place > ?")
    values.append(asked.after)
    if asked.cluster is not None:
        conditions.append("p.cluster = ?")
        values.append(asked.cluster)
    if source is not None:
        conditions.append(("+" if words or asked.cluster is not None else "") + "p.source = ?")
        values.append(source)
    if asked.min_similarity > -1 or asked.max_similarity < 1:
        conditions.append("p.similarity BETWEEN ? AND ?")
        values += [round(PER_MILLE * asked.min_similarity), round(PER_MILLE * asked.max_similarity)]
    place = "words.rowid" if words and asked.cluster is None else "p.place"
    inner = (
        f"SELECT p.place FROM {' CROSS JOIN '.join(tables)} WHERE {' AND '.join(conditions)} ORDER BY {place} LIMIT ?"
    )
    return f"SELECT place, card FROM cards WHERE place IN ({inner}) ORDER BY place", values
