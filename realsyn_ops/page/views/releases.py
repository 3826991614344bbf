"""Releases, and what is different between two of them."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from realsyn_ops.io import releases as published
from realsyn_ops.io.release_changes import Changes, changes_between
from realsyn_ops.page.deployment import bucket
from realsyn_ops.page.forms import Version
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read, read_heavy
from realsyn_ops.report.wording import printable

router = APIRouter()
_SHOWN = 100


@router.get("/releases")
async def releases(request: Request, before: Version = "", after: Version = "") -> HTMLResponse:
    found = await read(lambda: published.releases(bucket()))
    named = {release.version for release in found}
    changes = await read_heavy(_changes, before, after) if {before, after} <= named and before != after else None
    shown = changes.changes[:_SHOWN] if changes else []
    counts = changes.counts() if changes else {}
    return page(
        request, "releases", releases=printed(found), changes=changes, shown=shown, counts=counts, before=before,
        after=after,
    )  # fmt: skip


def printed(found: list[published.Release]) -> list[dict[str, Any]]:
    """Newest first, with printable texts."""
    return [
        printable(
            {"version": release.version, "published": release.published, "n_pairs": release.n_pairs,
             "n_bytes": release.n_bytes, "days": release.manifest.get("days") or [],
             "previous": release.manifest.get("previous") or "", "revoked": (release.revoked or {}).get("reason", "")}
        )
        for release in reversed(found)
    ]  # fmt: skip


def _changes(before: str, after: str) -> Changes:
    return changes_between(bucket(), before, after)
