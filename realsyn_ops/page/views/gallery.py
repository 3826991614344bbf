"""The gallery of pairs in force: pages by place, words and filters, as a page and as JSON; pairs whose images look
alike."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from realsyn_ops.page.deployment import gallery as gallery_store
from realsyn_ops.page.forms import ImageKey, Name, Number, Similarity, Words
from realsyn_ops.page.gallery_search import Asked, GalleryIndex
from realsyn_ops.page.lookalikes import lookalikes
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read, read_heavy
from realsyn_ops.page.words_from import marked

router = APIRouter()
_RETRY_S = 5


def asked(
    words: Words = "", cluster: Number = -1, source: Name = "", min_similarity: Similarity = -1.0,
    max_similarity: Similarity = 1.0, after: Number = -1,
) -> Asked:  # fmt: skip
    return Asked(
        words=words, cluster=None if cluster < 0 else cluster, source=source, min_similarity=min_similarity,
        max_similarity=max_similarity, after=after,
    )  # fmt: skip


AskedDep = Annotated[Asked, Depends(asked)]


@router.get("/gallery")
async def gallery(request: Request, wanted: AskedDep) -> HTMLResponse:
    index = await read(lambda: gallery_store().index())
    cards, after = await read(index.find_page, wanted) if index else ([], None)
    return shown(request, index, cards, wanted, after=after)


@router.get("/pairs")
async def pairs(wanted: AskedDep) -> Response:
    """``pairs``: cards in order of key; ``after``: what to ask for to go on, null at the end."""
    cards, after = await read(_page_of, wanted)
    return _json(cards, after)


@router.get("/pairs/{key}/alike")
async def alike(request: Request, key: ImageKey) -> HTMLResponse:
    index = await read(lambda: gallery_store().index())
    keys = await read_heavy(lookalikes, key)
    cards = await read(index.find_cards, keys) if index else []
    return shown(request, index, cards, Asked(), like=key)


def _page_of(wanted: Asked) -> tuple[list[str], int | None]:
    index = gallery_store().index()
    if index is None:
        raise HTTPException(503, "the gallery's index is being made", {"Retry-After": str(_RETRY_S)})
    return index.find_page(wanted)


def _json(cards: list[str], after: int | None) -> Response:
    """Cards are kept as JSON: they are sent as they are."""
    return Response(f'{{"pairs": [{", ".join(cards)}], "after": {json.dumps(after)}}}', media_type="application/json")


def shown(
    request: Request, index: GalleryIndex | None, cards: list[str], wanted: Asked, *, after: int | None = None,
    like: str = "",
) -> HTMLResponse:  # fmt: skip
    read_cards: list[dict[str, Any]] = [json.loads(card) for card in cards]
    return page(
        request, "gallery", about=index.about if index else None, sources=sorted(index.sources) if index else [],
        pairs=[card | {"marked": marked(card)} for card in read_cards], asked=wanted, after=after, like=like,
    )  # fmt: skip
