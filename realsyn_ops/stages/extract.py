"""Documents into images and sentences, each with the places it stands in, and rejects for what is refused on the way.

Pure: documents in, rows out, sorted by key. Rows have the columns of the data sets of the same name. Also the one way
in which this project decodes an image; the reading of raw files belongs to `io`.
"""

import hashlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import punkt
from PIL import Image

from realsyn_ops.records import (
    Document,
    ImageNode,
    Reason,
    Reject,
    fold_space,
    image_key,
    sentence_key,
)

_VERIFY_SIDE_PX = 256
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"))
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image's header says; sides in pixels as stored, before any EXIF rotation."""

    format: str
    width: int
    height: int


@dataclass(slots=True)
class Extraction:
    """Rows per data set, and counts: in = kept + rejected, for documents and for the image nodes of kept documents."""

    tables: dict[str, list[Row]]
    counts: dict[str, int]
    rejects: dict[str, int] = field(default_factory=dict)


def extract(documents: Iterable[Document | Reject], *, day: str, max_pixels: int) -> Extraction:
    """All rows of one shard. A document that comes twice is taken once, the second a reject; images are decoded once.

    Every image node of a kept document is a row of `image_nodes` or of `rejects`. `rejects` counts by reason.
    """
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
        if node.data is None:
            rejects.append(_reject(document, document_key, number, node.reason or Reason.IMAGE_MISSING, node.detail))
            return False
        key = image_key(node.data)
        if key not in images and key not in refused:
            info = read_image(node.data, max_pixels=max_pixels)
            if isinstance(info, ImageInfo):
                images[key] = {"key": key, "day": day, "data": node.data, **asdict(info), "n_nodes": 0}
            else:
                refused[key] = info
        if key in refused:
            rejects.append(_reject(document, document_key, number, *refused[key]))
            return False
        images[key]["n_nodes"] += 1
        image_nodes.append(_node(key, day, document_key, number) | {"src": node.src, "alt": node.alt})
        return True

    def place_sentences(document_key: str, number: int, text: str) -> int:
        found = split_sentences(text)
        for position, sentence in enumerate(found):
            key = sentence_key(sentence)
            row = sentences.setdefault(key, {"key": key, "day": day, "text": sentence, "n_nodes": 0})
            row["n_nodes"] += 1
            sentence_nodes.append(_node(key, day, document_key, number) | {"position": position})
        return len(found)

    for document in documents:
        counts["documents_in"] += 1
        if isinstance(document, Reject):
            rejects.append(document)
            continue
        document_key = document.key
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
        kept[document_key] = _document(document, document_key, day) | {"n_images": n_images, "n_sentences": n_sentences}

    tables = {
        "documents": list(kept.values()),
        "images": list(images.values()),
        "image_nodes": image_nodes,
        "sentences": list(sentences.values()),
        "sentence_nodes": sentence_nodes,
        "rejects": [_reject_row(reject, day) for reject in rejects],
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


def read_image(data: bytes, *, max_pixels: int) -> ImageInfo | tuple[Reason, str]:
    """What the image is, or the reason and detail why it is refused.

    Only JPEG, PNG, WebP and GIF, told by their first bytes. Pixels are counted in the header before any is decoded;
    then the image is decoded once, so that what is kept can be decoded later.
    """
    kind = _format(data)
    if kind is None:
        return Reason.IMAGE_FORMAT, f"starts with {data[:12]!r}"
    try:
        with _pixel_guard(max_pixels):
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                width, height = image.size
            if width * height > max_pixels:
                return Reason.IMAGE_TOO_MANY_PIXELS, f"{width} x {height}, limit {max_pixels}"
            decode_image(data, max_side=_VERIFY_SIDE_PX)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Reason.IMAGE_TOO_MANY_PIXELS, str(error)
    except Exception as error:  # noqa: BLE001 - decoders raise anything at damaged bytes
        return Reason.IMAGE_BROKEN, _ADDRESS.sub("", f"{type(error).__name__}: {error}")[:500]
    return ImageInfo(kind, width, height)


def decode_image(data: bytes, *, max_side: int | None = None) -> Image.Image:
    """The image as people see it: first frame, turned as its EXIF says, on white, RGB with 8 bits.

    With `max_side` its longer side is at most that, and a JPEG is decoded no larger than needed. Raises whatever Pillow
    raises for an image that `read_image` would refuse.
    """
    with Image.open(io.BytesIO(data), formats=[kind] if (kind := _format(data)) else []) as image:
        turn = _TRANSPOSE.get(_orientation(image))
        if max_side:
            image.draft("RGB", (max_side, max_side))
        image.load()
        plain = _to_rgb(image)
    if max_side and max(plain.size) > max_side:
        plain.thumbnail((max_side, max_side), Image.Resampling.BICUBIC)
    return plain.transpose(turn) if turn is not None else plain


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65_535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        opaque = image.convert("RGBA")
        ground = Image.new("RGBA", opaque.size, "white")
        ground.alpha_composite(opaque)
        return ground.convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation from 1 to 8; 1 where the EXIF data are damaged, as viewers do."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - any parser error means the same
        return 1


def _format(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


@contextmanager
def _pixel_guard(max_pixels: int) -> Iterator[None]:
    """Pillow's own guard at our limit, its warning an error: frames larger than their header are caught by it too.

    Never above the size at which Pillow refuses to decode in the stages that come later.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = min(max_pixels, 2 * before) if before else max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@lru_cache
def _tokenizer() -> punkt.PunktSentenceTokenizer:
    return punkt.tokenizer_for("english", prefixes=True)


def _document(document: Document, key: str, day: str) -> Row:
    return {
        "key": key,
        "day": day,
        "source": document.source,
        "file": document.file,
        "record": document.record,
        "url": document.url,
        "title": document.title,
    }


def _node(key: str, day: str, document_key: str, number: int) -> Row:
    return {"key": key, "day": day, "document_key": document_key, "node": number}


def _reject(document: Document, key: str, number: int, reason: Reason, detail: str) -> Reject:
    return Reject("extract", reason, document.source, document.file, document.record, key, number, detail[:500])


def _reject_row(reject: Reject, day: str) -> Row:
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
        "sentences": len(tables["sentences"]),
    }
