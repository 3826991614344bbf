"""A document whose sentences serve images of other documents, and what the bucket says of it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket


@dataclass(frozen=True)
class Serving:
    """``sentences``: those that stand in no other document, by key. ``served``: images of others that have one."""

    document: str
    day: str
    sentences: dict[str, str]
    served: frozenset[str]


def texts_of_images(corpus: Corpus) -> dict[str, list[str]]:
    """Keys of the texts of every pair in force."""
    rows = corpus.read("pairs", ["key", "text_keys"], where="reason IS NULL")
    return dict(zip(rows["key"].to_pylist(), rows["text_keys"].to_pylist(), strict=True))


def serving_document(corpus: Corpus) -> Serving:
    """The one that serves most images of others; it has fewer sentences than half of them."""
    at: dict[str, dict[str, set[str]]] = {}
    for table in ("sentence_nodes", "image_nodes"):
        at[table] = defaultdict(set)
        for row in corpus.read(table, ["key", "document_key"]).to_pylist():
            at[table][row["key"]].add(row["document_key"])
    served: dict[str, set[str]] = defaultdict(set)
    for image, texts in texts_of_images(corpus).items():
        for text in texts:
            for document in at["sentence_nodes"][text] if len(at["sentence_nodes"][text]) == 1 else ():
                if document not in at["image_nodes"][image]:
                    served[document].add(image)
    document = max(sorted(served), key=lambda key: len(served[key]))
    only = {key for key, documents in at["sentence_nodes"].items() if documents == {document}}
    texts = corpus.read("sentences", ["key", "text"]).to_pylist()
    (day,) = corpus.read("documents", ["day"], where=f"key = '{document}'")["day"].to_pylist()
    return Serving(
        document, day, {row["key"]: row["text"] for row in texts if row["key"] in only}, frozenset(served[document])
    )


def objects_that_hold(bucket: Bucket, texts: Iterable[str]) -> list[str]:
    """All but raw files and releases, which a takedown leaves to people."""
    needles = [text.encode() for text in texts]
    keys = [item.key for item in bucket.list("") if not item.key.startswith(("raw/", "releases/"))]
    return [key for key in keys for data in [bucket.get(key)] if any(needle in data for needle in needles)]
