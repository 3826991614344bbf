"""Tables without what is taken down: for each data set the rows that go and the values that change.

Pure: rows in, rows out, twice the same as once. What a table of the corpus holds afterwards is what ingestion and the
Dags behind it would have made of the same input with the same tombstones, but for groups, which their next run mends:
a record whose group has lost one names no survivor until then.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.kinds import FUNCTION_WORDS
from realsyn_ops.tombstones import Tombstones

Edit = Callable[[pa.Table], pa.Table]
_MIN_SHARED = 0.5
_MIN_WORDS = 3


@dataclass(frozen=True)
class Removal:
    """``counts``: of the nodes that are left, how many each (day, key of what was touched) has: of an image or sentence
    its places, of a document its images (`("images", day, key)`) and sentences. ``texts``: sentences that go."""

    down: Tombstones
    documents: frozenset[str]
    images: frozenset[str]
    sentences: frozenset[str]
    recounted: frozenset[str]
    shortened: frozenset[str]
    lost: frozenset[str]
    counts: dict[tuple[str, ...], int]
    texts: tuple[str, ...]

    def edits(self) -> dict[str, tuple[Edit, list[str]]]:
        """Of each table what is done to its rows, and the columns that are needed for it."""
        images, sentences = self._without(self.images), self._without(self.sentences)
        scored = ["key", "day", "n_nodes"]
        return {
            "image_nodes": (self._image_nodes, ["key", "document_key", "url", "alt", "caption"]),
            "sentence_nodes": (self._sentence_nodes, ["key", "document_key"]),
            "documents": (self._documents, ["key", "day", "title", "n_images", "n_sentences"]),
            "fetches": (self._fetches, ["url", "final_url", "image_key"]),
            "images": (lambda rows: self._recounted(images(rows)), scored),
            "image_scores": (lambda rows: self._recounted(images(rows)), scored),
            "image_embeddings": (lambda rows: self._recounted(images(rows)), scored),
            "image_links": (lambda rows: images(_dropped(rows, "other", self.images)), ["key", "other"]),
            "curated_images": (lambda rows: self._ungrouped(images(rows)), ["key", "survivor"]),
            "sentences": (lambda rows: self._recounted(sentences(rows)), scored),
            "sentence_scores": (lambda rows: self._recounted(sentences(rows)), scored),
            "sentence_measures": (lambda rows: self._there(sentences(rows)), ["key", "day"]),
            "sentence_embeddings": (lambda rows: self._recounted(sentences(rows)), scored),
            "sentence_links": (lambda rows: sentences(_dropped(rows, "other", self.sentences)), ["key", "other"]),
            "sentence_clusters": (lambda rows: self._ungrouped(sentences(rows)), ["key", "survivor"]),
            "pairs": (self._pairs, ["key", "text_keys", "caption", "syn_text"]),
            "answers": (self._answers, ["answer"]),
        }

    def is_written_from(self, answer: str) -> bool:
        """Whether an answer says what a sentence that goes says: holds it, or most of its words of content.

        Too much goes rather than too little: it would be asked for again.
        """
        words = _words(answer)
        shared: Counter[int] = Counter()
        for word in words:
            shared.update(self._with_word.get(word, ()))
        return any(n >= self._needed[i] for i, n in shared.items()) or bool(self.down.text(answer))

    @cached_property
    def _with_word(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i, text in enumerate(self.texts):
            for word in _words(text):
                found.setdefault(word, []).append(i)
        return found

    @cached_property
    def _needed(self) -> list[int]:
        sizes = [len(_words(text)) for text in self.texts]
        return [max(min(size, _MIN_WORDS), round(_MIN_SHARED * size), 1) for size in sizes]

    def _without(self, keys: frozenset[str]) -> Edit:
        return lambda rows: _dropped(rows, "key", keys)

    def _image_nodes(self, rows: pa.Table) -> pa.Table:
        rows = _dropped(_dropped(rows, "document_key", self.documents), "key", self.images)
        rows = rows.filter(pa.array([not self.down.url(url or "") for url in rows["url"].to_pylist()], pa.bool_()))
        return self._redacted(rows, "alt", "caption")

    def _sentence_nodes(self, rows: pa.Table) -> pa.Table:
        return _dropped(_dropped(rows, "document_key", self.documents), "key", self.sentences)

    def _documents(self, rows: pa.Table) -> pa.Table:
        rows = self._redacted(_dropped(rows, "key", self.documents), "title")
        for column, of in (("n_images", "images"), ("n_sentences", "sentences")):
            rows = self._counted(rows, column, self.shortened, lambda row, of=of: (of, *row))  # type: ignore[misc]
        return rows

    def _fetches(self, rows: pa.Table) -> pa.Table:
        urls = zip(rows["url"].to_pylist(), rows["final_url"].to_pylist(), strict=True)
        stays = [not (self.down.url(url or "") or self.down.url(final or "")) for url, final in urls]
        return _dropped(rows.filter(pa.array(stays, pa.bool_())), "image_key", self.images)

    def _pairs(self, rows: pa.Table) -> pa.Table:
        """Pairs that go, and those that have a text that goes: they are made anew, texts, caption and all."""
        values = rows.select(["text_keys", "caption", "syn_text"]).to_pylist()
        stays = [
            self.sentences.isdisjoint(row["text_keys"] or ())
            and not any(self.down.redacted(text) != text for text in (row["caption"] or "", row["syn_text"] or ""))
            for row in values
        ]
        return _dropped(rows.filter(pa.array(stays, pa.bool_())), "key", self.images)

    def _answers(self, rows: pa.Table) -> pa.Table:
        return rows.filter(
            pa.array([not self.is_written_from(a or "") for a in rows["answer"].to_pylist()], pa.bool_())
        )

    def _recounted(self, rows: pa.Table) -> pa.Table:
        rows = self._counted(rows, "n_nodes", self.recounted, lambda row: row)
        return rows.filter(pc.greater(pc.fill_null(rows["n_nodes"], 1), 0))

    def _there(self, rows: pa.Table) -> pa.Table:
        """Without what has no place left on its day."""
        listed = zip(rows["day"].to_pylist(), rows["key"].to_pylist(), strict=True)
        return rows.filter(
            pa.array([key not in self.recounted or (day, key) in self.counts for day, key in listed], pa.bool_())
        )

    def _counted(
        self, rows: pa.Table, column: str, keys: frozenset[str], name: Callable[[tuple[str, str]], tuple[str, ...]]
    ) -> pa.Table:
        """The column with the number of nodes that are left, for rows of these keys."""
        listed = zip(rows["day"].to_pylist(), rows["key"].to_pylist(), rows[column].to_pylist(), strict=True)
        values = [self.counts.get(name((day, key)), 0) if key in keys else value for day, key, value in listed]
        place = rows.column_names.index(column)
        return rows.set_column(place, rows.schema.field(column), pa.array(values, rows.schema.field(column).type))

    def _ungrouped(self, rows: pa.Table) -> pa.Table:
        place, field = rows.column_names.index("survivor"), rows.schema.field("survivor")
        survivors = ["" if value in self.lost else value for value in rows["survivor"].to_pylist()]
        return rows.set_column(place, field, pa.array(survivors, field.type))

    def _redacted(self, rows: pa.Table, *columns: str) -> pa.Table:
        for column in columns if self.down.patterns else ():
            values = [self.down.redacted(text) if text else text for text in rows[column].to_pylist()]
            place = rows.column_names.index(column)
            rows = rows.set_column(place, rows.schema.field(column), pa.array(values, pa.string()))
        return rows


def _dropped(rows: pa.Table, column: str, keys: Iterable[str]) -> pa.Table:
    is_gone = pc.is_in(rows[column], pa.array(sorted(keys), pa.string()))
    return rows.filter(pc.invert(is_gone))


def _words(text: str) -> set[str]:
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    return {word for word in words if word not in FUNCTION_WORDS}
