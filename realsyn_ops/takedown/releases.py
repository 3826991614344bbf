"""Which releases hold what is taken down: they are told, never changed."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.io.release_rows import TEXT_KEYS, scan_rows
from realsyn_ops.io.releases import releases
from realsyn_ops.io.storage import Bucket

WHAT_TO_DO = (
    "./realsyn release revoke VERSION --reason TEXT; then delete its pairs/, realsyn/ and tars/ if the bytes must go, "
    "and tell those who have copies"
)


def releases_with(bucket: Bucket, images: list[str], sentences: list[str]) -> list[dict[str, Any]]:
    """Of each release that has them the pairs, how many and the first; and whether it is revoked."""
    wanted = [("key", pa.array(images, pa.string()))] + [(name, pa.array(sentences, pa.string())) for name in TEXT_KEYS]
    found = []
    for release in releases(bucket):
        keys: list[str] = []
        if not bucket.exists(f"releases/{release.version}/pairs/00000.parquet"):
            continue  # its bytes were deleted
        for _, rows in scan_rows(bucket, release.version, ["key", *TEXT_KEYS]):
            has = [pc.is_in(rows[name], values) for name, values in wanted]
            keys += rows.filter(pc.or_(pc.or_(has[0], has[1]), pc.or_(has[2], has[3])))["key"].to_pylist()
        if keys:
            about = {"version": release.version, "is_revoked": release.revoked is not None, "n_pairs": len(keys)}
            found.append({**about, "pairs": keys[:100], "what_to_do": WHAT_TO_DO})
    return found
