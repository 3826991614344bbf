"""What the gates said: the newest verdicts, those that failed first."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from realsyn_ops.io.storage import Bucket
from realsyn_ops.page.deployment import bucket
from realsyn_ops.page.forms import RunPartition
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read
from realsyn_ops.report.wording import printable

router = APIRouter()
MAX_VERDICTS = 300


@router.get("/gates")
async def gates(request: Request, day: RunPartition = "") -> HTMLResponse:
    verdicts = await read(lambda: newest_verdicts(bucket(), day))
    return page(request, "gates", verdicts=sorted(verdicts, key=lambda v: v["passed"]), day=day, most=MAX_VERDICTS)


def newest_verdicts(store: Bucket, partition: str = "") -> list[dict[str, Any]]:
    """The newest verdict of each gate of each Dag and partition (keys sort by plan: the file's time decides), the
    newest first and not all of them."""
    newest: dict[tuple[str, ...], tuple[float, str]] = {}
    for item in store.list("gates/"):
        parts = item.key.split("/")
        if len(parts) == 5 and item.key.endswith(".json") and partition in {"", parts[2]}:
            of = (parts[1], parts[2], parts[4])
            newest[of] = max(newest.get(of, (0.0, "")), (item.modified, item.key))
    chosen = sorted(newest.values(), reverse=True)[:MAX_VERDICTS]
    return [printable(json.loads(store.get(key))) for _, key in chosen]
