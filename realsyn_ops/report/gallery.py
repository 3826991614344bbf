"""gallery.json as frozen values: the pairs to look at and examples of rejects. Images are data URIs or nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realsyn_ops.report.wording import printable

_RASTER = re.compile(r"data:image/(?:jpeg|png|webp|gif);base64,[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a text or an image was found: the document's title and address, and the source that holds it."""

    title: str
    url: str
    source: str


@dataclass(frozen=True, slots=True)
class RealisticText:
    text: str
    similarity: float | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Pair:
    key: str
    image: str
    texts: tuple[RealisticText, ...]
    caption: str
    tags: tuple[str, ...]
    syn_text: str
    syn_origin: str
    syn_similarity: float | None
    origin: Origin

    @property
    def alt(self) -> str:
        return self.caption or ", ".join(self.tags) or "the pair's image"


@dataclass(frozen=True, slots=True)
class Example:
    """A refused image or sentence, and the value that refused it."""

    image: str
    text: str
    value: Any
    detail: str


@dataclass(frozen=True, slots=True)
class Gallery:
    pairs: tuple[Pair, ...]
    examples: dict[tuple[str, str], tuple[Example, ...]]


def read_gallery(gallery: Mapping[str, Any]) -> Gallery:
    """Pairs in their order; examples by (stream, reason)."""
    gallery = printable(gallery)
    return Gallery(
        pairs=tuple(map(_pair, gallery.get("pairs") or ())),
        examples={
            (stream, reason): tuple(map(_example, examples or ()))
            for stream, reasons in (gallery.get("rejects") or {}).items()
            for reason, examples in (reasons or {}).items()
        },
    )


def raster_uri(value: object) -> str:
    """The data URI when it is one of a raster image and nothing else; otherwise empty."""
    return value if isinstance(value, str) and _RASTER.fullmatch(value) else ""


def _origin(value: Any, document_key: str = "") -> Origin:
    if not isinstance(value, Mapping):
        return Origin(title=str(value or "") or document_key, url="", source="")
    title, url, source = (str(value.get(name) or "") for name in ("title", "url", "source"))
    return Origin(title=title if title or url else document_key, url=url, source=source)


def _pair(values: Mapping[str, Any]) -> Pair:
    return Pair(
        key=values.get("key") or "",
        image=raster_uri(values.get("image")),
        texts=tuple(
            RealisticText(
                text=text.get("text") or "",
                similarity=text.get("similarity"),
                origin=_origin(text.get("origin"), text.get("document_key") or ""),
            )
            for text in values.get("texts") or ()
        ),
        caption=values.get("caption") or "",
        tags=tuple(values.get("tags") or ()),
        syn_text=values.get("syn_text") or "",
        syn_origin=values.get("syn_origin") or "",
        syn_similarity=values.get("syn_similarity"),
        origin=_origin(values.get("image_origin")),
    )


def _example(values: Mapping[str, Any]) -> Example:
    return Example(
        image=raster_uri(values.get("image")),
        text=values.get("text") or "",
        value=values.get("value"),
        detail=str(values.get("detail") or ""),
    )
