"""Tables of as many pairs as are asked for, written through the real corpus: words as frequent as in texts, uneven
clusters, a few sources. Texts are drawn from a common stock, as in a corpus where a sentence serves several images."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus, Rows

N_DAYS = 10
SOURCES = ("manuals", "wikis", "news", "shops", "museums")
_N_WORDS, _N_DOCUMENTS, _N_CLUSTERS = 40_000, 20_000, 5_000
_SYLLABLES = ("ba", "ke", "lor", "min", "ta", "ru", "sel", "von", "di", "pa", "gra", "mo", "ne", "fi", "thu", "wa")


class ManyPairs:
    """``n_pairs`` pairs over ten days, the same for the same seed."""

    def __init__(self, n_pairs: int, seed: int = 0) -> None:
        self.n_pairs = n_pairs
        self._random = np.random.default_rng(seed)
        names = self._random.permutation(16**4)[:_N_WORDS]
        self.words = ["".join(_SYLLABLES[n >> shift & 15] for shift in (0, 4, 8, 12)) for n in names.tolist()]
        rank = np.arange(1, _N_WORDS + 1) ** -1.0
        self._frequency = np.cumsum(rank / rank.sum())
        self.sentences = [self._sentence() for _ in range(max(30, n_pairs // 3))]
        self._sentence_keys = [_key("s", text) for text in self.sentences]
        self._documents = [_key("d", str(number)) for number in range(_N_DOCUMENTS)]
        self.days = [f"2025-03-{day:02d}" for day in range(1, N_DAYS + 1)]

    def write(self, corpus: Corpus) -> None:
        """Publish documents, nodes and pairs."""
        documents = self._document_rows()
        corpus.publish("documents", schemas.DOCUMENTS, {self.days[0]: _given(documents)})
        corpus.publish("sentence_nodes", schemas.SENTENCE_NODES, {self.days[0]: _given(self._sentence_rows())})
        for day, keys in self._keys():
            corpus.publish("image_nodes", schemas.IMAGE_NODES, {day: _given(self._node_rows(day, keys))})
            corpus.publish("pairs", schemas.PAIRS, {day: _given(self._pair_rows(day, keys))})

    def cards(self) -> Iterator[tuple[dict[str, Any], int]]:
        """The same as the index would make of the tables, in order of key, each with the number of its source."""
        for n, key in enumerate(sorted(_key("i", str(one)) for one in range(self.n_pairs))):
            texts = self._random.integers(0, len(self.sentences), 3).tolist()
            similarities = sorted(self._random.normal(0.3, 0.05, 3).clip(0, 1).round(4).tolist(), reverse=True)
            tags = self._draw(4)
            source = int(self._random.integers(len(SOURCES)))
            card = {
                "key": key, "day": self.days[n % N_DAYS], "caption": f"a photo of a {tags[0]}", "tags": tags,
                "syn_text": f"A {tags[0]}: {self.sentences[texts[0]]}", "syn_origin": "template", "syn_reason": "",
                "syn_similarity": similarities[0], "cluster": int(_N_CLUSTERS * self._random.random() ** 3),
                "origin": _origin(source, n),
                "texts": [
                    {"key": self._sentence_keys[i], "text": self.sentences[i], "similarity": similarity,
                     "origin": _origin(i % len(SOURCES), i)}
                    for i, similarity in zip(texts, similarities, strict=True)
                ],
            }  # fmt: skip
            yield card, source

    def _keys(self) -> Iterator[tuple[str, list[str]]]:
        for number, day in enumerate(self.days):
            share = range(number, self.n_pairs, N_DAYS)
            yield day, sorted(_key("i", str(one)) for one in share)

    def _draw(self, n: int) -> list[str]:
        return [self.words[i] for i in np.searchsorted(self._frequency, self._random.random(n)).tolist()]

    def _sentence(self) -> str:
        return " ".join(self._draw(int(self._random.integers(8, 30)))).capitalize() + "."

    def _document_rows(self) -> pa.Table:
        keys = sorted(self._documents)
        rows = [
            {"key": key, "day": self.days[0], "source": SOURCES[number % len(SOURCES)], "file": "raw/a.zip",
             "record": f"{number}.html", "url": f"https://example.org/{number}.html", "title": f"Page {number}"}
            for number, key in enumerate(keys)
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=schemas.DOCUMENTS)

    def _sentence_rows(self) -> pa.Table:
        keys = sorted(set(self._sentence_keys))
        documents = [self._documents[i % _N_DOCUMENTS] for i in range(len(keys))]
        values = {"key": keys, "day": [self.days[0]] * len(keys), "document_key": documents,
                  "node": [1] * len(keys), "position": [0] * len(keys)}  # fmt: skip
        return pa.table(values, schema=schemas.SENTENCE_NODES)

    def _node_rows(self, day: str, keys: list[str]) -> pa.Table:
        documents = [self._documents[i] for i in self._random.integers(0, _N_DOCUMENTS, len(keys)).tolist()]
        empty = [""] * len(keys)
        values = {"key": keys, "day": [day] * len(keys), "document_key": documents, "node": [2] * len(keys),
                  "src": empty, "url": empty, "alt": empty, "caption": empty}  # fmt: skip
        return pa.table(values, schema=schemas.IMAGE_NODES)

    def _pair_rows(self, day: str, keys: list[str]) -> pa.Table:
        n = len(keys)
        texts = self._random.integers(0, len(self.sentences), (n, 3)).tolist()
        similarities = -np.sort(-self._random.normal(0.3, 0.05, (n, 3)).clip(0, 1), axis=1)
        clusters = (_N_CLUSTERS * self._random.random(n) ** 3).astype(np.int32)
        tags = [self._draw(4) for _ in range(n)]
        values = {
            "key": keys,
            "day": [day] * n,
            "cluster": clusters,
            "text_keys": [[self._sentence_keys[i] for i in three] for three in texts],
            "texts": [[self.sentences[i] for i in three] for three in texts],
            "similarities": similarities.astype(np.float32).tolist(),
            "caption": [f"a photo of a {tag[0]}" for tag in tags],
            "tags": tags,
            "syn_text": [f"A {tag[0]}: {self.sentences[three[0]]}" for tag, three in zip(tags, texts, strict=True)],
            "syn_origin": ["template"] * n,
            "syn_reason": [""] * n,
            "syn_similarity": similarities[:, 0].astype(np.float32),
            "reason": [None] * n,
            "made_by": ["rules"] * n,
        }
        return pa.table(values, schema=schemas.PAIRS)


def _origin(source: int, number: int) -> dict[str, str]:
    page = number % _N_DOCUMENTS
    return {"source": SOURCES[source], "title": f"Page {page}", "url": f"https://example.org/{page}.html"}


def _given(table: pa.Table) -> Rows:
    return lambda columns: [table.select(columns)]


def _key(letter: str, name: str) -> str:
    return letter + hashlib.sha256(name.encode()).hexdigest()[:32]
