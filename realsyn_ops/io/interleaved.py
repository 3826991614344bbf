"""Interleaved records: a mapping in, nodes out.

OBELICS has parallel lists `texts` and `images`, at each place one of both null; an image is bytes, a struct of bytes
and path, or a string: a path in the bundle or a URL, resolved by the reader. MMC4 has `text_list`, and `image_info`
that says which text each image goes with.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import TooLargeError
from realsyn_ops.io.charsets import clean_text
from realsyn_ops.records import ImageNode, Node, TextNode

COLUMNS = ("texts", "images", "metadata", "general_metadata", "url", "title")
MAX_TEXT_CHARS = 16 * 2**20
_PARAGRAPH = re.compile(r"\n\s*\n")


def parse_line(line: bytes) -> Mapping[str, Any]:
    """The object on a line of JSON; raises BadDocumentError."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadDocumentError(f"not JSON: {error}") from error
    if not isinstance(record, dict):
        raise BadDocumentError(f"a {type(record).__name__} where an object is expected")
    return record


def read_record(record: Mapping[str, Any]) -> tuple[str, str, Iterator[Node]]:
    """(url, title, nodes) of a record; raises BadDocumentError for lists that are missing or do not match.

    Raises TooLargeError for texts of more than MAX_TEXT_CHARS: to fold them takes twenty times their size.
    """
    listed = record.get("text_list" if "text_list" in record else "texts")
    n_chars = sum(len(text) for text in listed if isinstance(text, str)) if isinstance(listed, list) else 0
    if n_chars > MAX_TEXT_CHARS:
        raise TooLargeError(f"{n_chars} characters of text, limit {MAX_TEXT_CHARS}")
    if "text_list" in record:
        return _read_mmc4(record)
    texts, images = record.get("texts"), record.get("images")
    if not isinstance(texts, list) or not isinstance(images, list):
        raise BadDocumentError("texts and images must be lists")
    if len(texts) != len(images):
        raise BadDocumentError(f"{len(texts)} texts beside {len(images)} images; the lists must be parallel")
    for place, (text, image) in enumerate(zip(texts, images, strict=True)):
        if text is not None and image is not None:
            raise BadDocumentError(f"place {place} holds both a text and an image")
        if text is not None and not isinstance(text, str):
            raise BadDocumentError(f"place {place}: a text of type {type(text).__name__}")
        if image is not None and not isinstance(image, (bytes, str, dict)):
            raise BadDocumentError(f"place {place}: an image of type {type(image).__name__}")
    about = _loaded(record.get("general_metadata"), dict)
    url = record.get("url") or about.get("url") or ""
    title = record.get("title") or about.get("title") or ""
    metadata = _loaded(record.get("metadata"), list)
    return clean_text(str(url))[:2_048], clean_text(str(title)), _nodes(texts, images, metadata)


def _nodes(texts: list[str | None], images: list[Any], metadata: list[Any]) -> Iterator[Node]:
    for place, (text, image) in enumerate(zip(texts, images, strict=True)):
        if text is not None:
            for paragraph in _PARAGRAPH.split(text):
                if folded := clean_text(paragraph):
                    yield TextNode(folded)
        if image is not None:
            about = metadata[place] if place < len(metadata) and isinstance(metadata[place], dict) else {}
            yield _image(image, about)


def _read_mmc4(record: Mapping[str, Any]) -> tuple[str, str, Iterator[Node]]:
    """An image stands before the text it was matched with, images of one text in their order."""
    texts, infos = record["text_list"], record.get("image_info")
    if not isinstance(texts, list) or not isinstance(infos, list):
        raise BadDocumentError("text_list and image_info must be lists")
    before: dict[int, list[ImageNode]] = {}
    for place, info in enumerate(infos):
        if not isinstance(info, dict):
            raise BadDocumentError(f"image_info {place}: a {type(info).__name__} where an object is expected")
        index = info.get("matched_text_index", 0)
        if not isinstance(index, int) or not 0 <= index < max(1, len(texts)):
            raise BadDocumentError(f"image_info {place}: matched_text_index {index!r} of {len(texts)} texts")
        names = [_plain(info[key]) for key in ("raw_url", "image_name") if isinstance(info.get(key), str)]
        before.setdefault(index, []).append(ImageNode(names[0] if names else "", others=tuple(names[1:])))
    if bad := next((place for place, text in enumerate(texts) if not isinstance(text, str)), None):
        raise BadDocumentError(f"text_list {bad}: a {type(texts[bad]).__name__} where a text is expected")

    def nodes() -> Iterator[Node]:
        for place in range(max(1, len(texts))):
            yield from before.get(place, ())
            if place < len(texts) and (folded := clean_text(str(texts[place]))):
                yield TextNode(folded)

    return clean_text(str(record.get("url") or ""))[:2_048], "", nodes()


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _image(image: bytes | str | Mapping[str, Any], about: Mapping[str, Any]) -> ImageNode:
    data: object = None
    src: object = None
    if isinstance(image, bytes):
        data = image
    elif isinstance(image, str):
        src = image
    else:
        data, src = image.get("bytes"), image.get("path")
    src = src or about.get("src") or ""
    return ImageNode(
        _plain(str(src)),
        clean_text(str(about.get("alt_text") or "")),
        data if isinstance(data, bytes) else None,
    )


def _loaded(value: object, kind: type) -> Any:
    """A JSON string or the value itself, if it is of the kind; else an empty one: metadata is a help, no must."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return kind()
    return value if isinstance(value, kind) else kind()
