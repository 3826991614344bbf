"""Pairs by meaning: words or a picture go through the encoder that made the corpus' vectors."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import HTMLResponse

from realsyn_ops.image_codec import decode_image, read_image
from realsyn_ops.io.recorded_plans import last_plan
from realsyn_ops.models.load import load_encoder
from realsyn_ops.page.deployment import corpus
from realsyn_ops.page.deployment import gallery as gallery_store
from realsyn_ops.page.gallery_search import Asked
from realsyn_ops.page.lookalikes import nearest
from realsyn_ops.page.threads import read, read_heavy
from realsyn_ops.page.views.gallery import shown
from realsyn_ops.settings import settings
from realsyn_ops.thresholds import CURATE

router = APIRouter()
_MAX_PIXELS = 50_000_000
_SIDE_PX = 512


@router.post("/seek")
async def seek(
    request: Request,
    text: Annotated[str, Form(max_length=300)] = "",
    picture: Annotated[UploadFile | None, File()] = None,
) -> HTMLResponse:
    data = await picture.read() if picture is not None else b""
    if not data and not text.strip():
        raise HTTPException(422, "say it in words, or give a picture")
    keys = await read_heavy(_found, text, data)
    index = await read(lambda: gallery_store().index())
    cards = await read(index.find_cards, keys) if index else []
    return shown(request, index, cards, Asked(), like="your picture" if data else text)


def _found(text: str, data: bytes) -> list[str]:
    tables = corpus()
    models = dict((last_plan(tables.bucket, CURATE) or {}).get("models", ()))
    if "encoder" not in models:
        return []
    where = settings()
    encoder = load_encoder(models["encoder"], device=where.device, threads=where.threads, models_path=where.models_path)
    if data:
        refused = read_image(data, max_pixels=_MAX_PIXELS)
        if isinstance(refused, tuple):
            raise HTTPException(422, f"no picture that can be read: {refused[0]}")
        vector: np.ndarray = encoder.encode_images([decode_image(data, max_side=_SIDE_PX)])[0][0]
    else:
        vector = encoder.encode_texts([text])[0]
    return nearest(tables, "embedding", vector)
