"""What a bucket holds that nobody needs any more: old staging, old Data Docs, what was never finished.

Published things, verdicts of gates, costs of tasks, what is in quarantine and the newest release's staging stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from realsyn_ops.io.quarantine import entries
from realsyn_ops.io.releases import newest
from realsyn_ops.io.storage import Bucket, ObjectInfo

_FINISHED_BY_MANIFEST = {"releases": 2, "lessons": 2, "measures": 3}
"""Folders whose manifest comes last, and how deep they lie."""


@dataclass(frozen=True)
class Garbage:
    """A folder that may go, why, and what it holds."""

    folder: str
    why: str
    n_objects: int
    n_bytes: int


def find_garbage(bucket: Bucket, *, staged_before: float, unfinished_before: float) -> list[Garbage]:
    """Folders that nothing has written to since these times (seconds since 1970), in order of name."""
    listed = {tuple(entry["staging"].rstrip("/").split("/")[-3:]) for entry in entries(bucket)}
    kept_release = newest(bucket)
    found = []
    for folder, items in _folders(bucket, "staging", 4):
        run = tuple(folder.split("/")[1:4])
        is_kept = run in listed or run[:2] == ("release_dataset", kept_release)
        if not is_kept and _newest(items) < staged_before:
            found.append(_garbage(folder, "staged long ago", items))
    for folder, items in _folders(bucket, "gates", 5):
        if folder.endswith("/docs/") and tuple(folder.split("/")[1:4]) not in listed and _newest(items) < staged_before:
            found.append(_garbage(folder, "Data Docs of long ago", items))
    for root, depth in _FINISHED_BY_MANIFEST.items():
        for folder, items in _folders(bucket, root, depth):
            is_whole = any(item.key == f"{folder}manifest.json" for item in items)
            if not is_whole and _newest(items) < unfinished_before:
                found.append(_garbage(folder, "never finished", items))
    return sorted(found, key=lambda one: one.folder)


def sweep(bucket: Bucket, folder: str) -> int:
    """Delete a folder, plans and markers last: killed on the way it is found again. How many objects went."""
    keys = [item.key for item in bucket.list(folder)]
    for key in sorted(keys, key=lambda key: key.endswith(".json")):
        bucket.delete(key)
    return len(keys)


def _folders(bucket: Bucket, root: str, depth: int) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Folders of so many parts, each with all objects below it; objects that lie higher belong to none."""
    folder = ""
    items: list[ObjectInfo] = []
    for item in bucket.list(f"{root}/"):
        parts = item.key.split("/")
        if len(parts) <= depth:
            continue
        mine = "/".join(parts[:depth]) + "/"
        if mine != folder and items:
            yield folder, items
            items = []
        folder = mine
        items.append(item)
    if items:
        yield folder, items


def _newest(items: list[ObjectInfo]) -> float:
    return max(item.modified for item in items)


def _garbage(folder: str, why: str, items: list[ObjectInfo]) -> Garbage:
    return Garbage(folder, why, len(items), sum(item.n_bytes for item in items))
