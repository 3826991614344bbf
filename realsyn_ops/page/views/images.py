"""Images of the corpus, decoded and encoded anew: what a browser gets was made here, whatever was in the bytes."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from realsyn_ops.image_codec import decode_image
from realsyn_ops.page.deployment import corpus
from realsyn_ops.page.forms import ImageKey
from realsyn_ops.page.threads import read
from realsyn_ops.stages.export import reencode

router = APIRouter()
SIDE_PX = 320


@router.get("/images/{key}")
async def image(key: ImageKey) -> Response:
    data = await read(thumbnail, key)
    if data is None:
        raise HTTPException(404, "no such image, or none that can be shown")
    return Response(data, media_type="image/jpeg", headers={"Content-Disposition": "inline"})


def thumbnail(key: str) -> bytes | None:
    """A small JPEG; None for what is not there, was refused by a policy, or does not decode."""
    tables = corpus()
    if any(
        t.num_rows for t in tables.scan("image_scores", ["key"], where=f"key = '{key}' AND reason = 'image_policy'")
    ):
        return None
    for table in tables.scan("images", ["data"], where=f"key = '{key}'", limit=1):
        for data in table["data"].to_pylist():
            try:
                return reencode(decode_image(data, max_side=2 * SIDE_PX), side_px=SIDE_PX)
            except (OSError, ValueError):
                return None
    return None
