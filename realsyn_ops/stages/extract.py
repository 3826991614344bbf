"""Documents into images and sentences, each with the places it stands in, and rejects for what is refused on the way.

Pure: documents in, rows out, sorted by key. Rows have the columns of the data sets of the same name. The reading of raw
files belongs to `io`, the decoding of images to `image_codec`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import punkt

from realsyn_ops.image_codec import ImageInfo, read_image
from realsyn_ops.records import (
    Document,
    ImageNode,
    Reason,
    Reject,
    fold_space,
    image_key,
    sentence_key,
)
from realsyn_ops.tombstones import Tombstones

Row = dict[str, Any]


@dataclass(slots=True)
class Extraction:
    """Rows per data set, and counts: in = kept + rejected, for documents and for the image nodes of kept documents."""

    tables: dict[str, list[Row]]
    counts: dict[str, int]
    rejects: dict[str, int] = field(default_factory=dict)


def extract(
    documents: Iterable[Document | Reject],
    *,
    day: str,
    max_pixels: int,
    down: Tombstones | None = None,
    phash: Callable[[bytes], int] | None = None,
) -> Extraction:
    """All rows of one shard. A document that comes twice is taken once, the second a reject; images are decoded once.

    Every image node of a kept document is a row of `image_nodes` or of `rejects`. `rejects` counts by reason. What is
    taken down (``down``; ``phash`` of a picture's bytes) is refused without a word of its content: documents and images
    are rejects, sentences are counted.
    """
    down = down or Tombstones()
    kept: dict[str, Row] = {}
    images: dict[str, Row] = {}
    sentences: dict[str, Row] = {}
    refused: dict[str, tuple[Reason, str]] = {}
    image_nodes: list[Row] = []
    sentence_nodes: list[Row] = []
    rejects: list[Reject] = []
    counts: Counter[str] = Counter()

    def place_image(document: Document, document_key: str, number: int, node: ImageNode) -> bool:
        counts["image_nodes_in"] += 1
        data = node.data
        if by := down.url(node.url):
            rejects.append(_reject(document, document_key, number, Reason.TAKEN_DOWN, by))
            return False
        if data is None:
            rejects.append(_reject(document, document_key, number, node.reason or Reason.IMAGE_MISSING, node.detail))
            return False
        key = image_key(data)
        if key not in images and key not in refused:
            info = read_image(data, max_pixels=max_pixels)
            by = down.image(key)
            if not by and down.has_phashes and phash is not None and isinstance(info, ImageInfo):
                by = down.picture(phash(data))
            if by:
                refused[key] = Reason.TAKEN_DOWN, by
            elif isinstance(info, ImageInfo):
                images[key] = {"key": key, "day": day, "data": data, **asdict(info), "n_nodes": 0}
            else:
                refused[key] = info
        if key in refused:
            rejects.append(_reject(document, document_key, number, *refused[key]))
            return False
        images[key]["n_nodes"] += 1
        image_nodes.append(_node(key, day, document_key, number) | _about(node, down))
        return True

    def place_sentences(document_key: str, number: int, text: str) -> int:
        n_kept = 0
        for position, sentence in enumerate(split_sentences(text)):
            key = sentence_key(sentence)
            if down and down.sentence(key, sentence):
                counts["sentence_nodes_taken_down"] += 1
                continue
            n_kept += 1
            row = sentences.setdefault(key, {"key": key, "day": day, "text": sentence, "n_nodes": 0})
            row["n_nodes"] += 1
            sentence_nodes.append(_node(key, day, document_key, number) | {"position": position})
        return n_kept

    for document in documents:
        counts["documents_in"] += 1
        if isinstance(document, Reject):
            rejects.append(document)
            continue
        document_key = document.key
        if by := down.document(document_key, document.url):
            rejects.append(_reject(document, document_key, -1, Reason.TAKEN_DOWN, by))
            continue
        if document_key in kept:
            detail = f"same document as {kept[document_key]['record']}"
            rejects.append(_reject(document, document_key, -1, Reason.IDENTICAL, detail))
            continue
        counts["documents_kept"] += 1
        n_images = n_sentences = 0
        for number, node in enumerate(document.nodes):
            if isinstance(node, ImageNode):
                n_images += place_image(document, document_key, number, node)
            else:
                n_sentences += place_sentences(document_key, number, node.text)
        about = _document(document, document_key, day, down)
        kept[document_key] = about | {"n_images": n_images, "n_sentences": n_sentences}

    tables = {
        "documents": list(kept.values()),
        "images": list(images.values()),
        "image_nodes": image_nodes,
        "sentences": list(sentences.values()),
        "sentence_nodes": sentence_nodes,
        "rejects": [reject_row(reject, day) for reject in rejects],
    }
    for rows in tables.values():
        rows.sort(key=_order)
    return Extraction(tables, _counts(counts, tables), dict(sorted(Counter(str(r.reason) for r in rejects).items())))


def split_sentences(text: str) -> list[str]:
    """Sentences of a text, white space folded: Punkt with NLTK's English parameters and the usual abbreviations.

    Not through NLTK's own tokenizer, which makes the same splits at a fraction of the speed, gives up after five
    seconds of the clock, and breaks sentences after "e.g.".
    """
    return [folded for found in _tokenizer().tokenize(fold_space(text)) if (folded := fold_space(found))]


@lru_cache
def _tokenizer() -> punkt.PunktSentenceTokenizer:
    return punkt.tokenizer_for("english", prefixes=True)


def _document(document: Document, key: str, day: str, down: Tombstones) -> Row:
    return {
        "key": key,
        "day": day,
        "source": document.source,
        "file": document.file,
        "record": document.record,
        "url": document.url,
        "title": down.redacted(document.title),
    }


def _about(node: ImageNode, down: Tombstones) -> Row:
    said = {"alt": down.redacted(node.alt), "caption": down.redacted(node.caption)}
    return {"src": node.src, "url": node.url, **said}


def _node(key: str, day: str, document_key: str, number: int) -> Row:
    return {"key": key, "day": day, "document_key": document_key, "node": number}


def _reject(document: Document, key: str, number: int, reason: Reason, detail: str) -> Reject:
    return Reject("extract", reason, document.source, document.file, document.record, key, number, detail[:500])


def reject_row(reject: Reject, day: str) -> Row:
    """A row of `rejects`."""
    named = (reject.file, reject.record, str(reject.node), str(reject.reason), reject.detail)
    digest = hashlib.sha256("\0".join(named).encode("utf-8", "replace")).hexdigest()
    return {"key": "r" + digest[:32], "day": day, **asdict(reject), "reason": str(reject.reason)}


def _order(row: Row) -> tuple[str, str, int, int]:
    return row["key"], row.get("document_key", ""), row.get("node", -1), row.get("position", -1)


def _counts(seen: Counter[str], tables: dict[str, list[Row]]) -> dict[str, int]:
    return {
        "documents_in": seen["documents_in"],
        "documents_kept": seen["documents_kept"],
        "documents_rejected": seen["documents_in"] - seen["documents_kept"],
        "image_nodes_in": seen["image_nodes_in"],
        "image_nodes_kept": len(tables["image_nodes"]),
        "image_nodes_rejected": sum(row["node"] >= 0 for row in tables["rejects"]),
        "images": len(tables["images"]),
        "sentence_nodes": len(tables["sentence_nodes"]),
        "sentence_nodes_taken_down": seen["sentence_nodes_taken_down"],
        "sentences": len(tables["sentences"]),
    }
