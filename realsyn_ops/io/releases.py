"""Releases: immutable folders ``releases/<version>/`` that exist once their manifest does.

Sets of lessons are published in the same way under another root.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.storage import Bucket

RELEASES = "releases"


def is_published(bucket: Bucket, version: str, *, root: str = RELEASES) -> bool:
    return bucket.exists(_manifest_key(version, root))


def versions(bucket: Bucket) -> list[str]:
    """Published versions, in order of name: the last day of their documents, then their plan."""
    return sorted(item.key.split("/")[1] for item in bucket.list("releases/") if _is_manifest(item.key))


def newest(bucket: Bucket) -> str:
    """The version published last; empty when there is none."""
    found = [(item.modified, item.key.split("/")[1]) for item in bucket.list("releases/") if _is_manifest(item.key)]
    return max(found, default=(None, ""))[1]


def publish_release(
    bucket: Bucket,
    version: str,
    staged: str,
    files: list[dict[str, Any]],
    texts: Mapping[str, bytes],
    facts: Mapping[str, Any],
    *,
    root: str = RELEASES,
) -> None:
    """Copy staged files, write the texts, then the manifest by a conditional put.

    Killed before the last line, nothing is visible and a second call finishes the work. Raises PermanentError when the
    version is published with another manifest, before anything of it is touched.
    """
    listed = list(files)
    for name, data in sorted(texts.items()):
        listed.append({"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    manifest = json.dumps({**facts, "files": listed}, sort_keys=True, indent=1).encode()
    if bucket.find(_manifest_key(version, root)) in {None, manifest}:
        for file in files:
            bucket.copy(f"{staged}/{file['path']}", f"{root}/{version}/{file['path']}")
        for name, data in sorted(texts.items()):
            bucket.put(f"{root}/{version}/{name}", data)
        if (
            bucket.put_new(_manifest_key(version, root), manifest)
            or bucket.get(_manifest_key(version, root)) == manifest
        ):
            return
    raise PermanentError(f"{root}/{version} is published with other contents; a version never changes")


def read_manifest(bucket: Bucket, version: str, *, root: str = RELEASES) -> dict[str, Any]:
    """Raises PermanentError when the version is not published."""
    return json.loads(bucket.get(_manifest_key(version, root)))


def download_release(bucket: Bucket, version: str, into: Path) -> Path:
    """Copy a release's files to ``into/<version>/``, checked against its manifest; visible only when whole."""
    target = into / version
    scratch = into / f".{version}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    for file in read_manifest(bucket, version)["files"]:
        path = scratch / file["path"]
        bucket.download(f"releases/{version}/{file['path']}", path)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != file["sha256"]:
            raise CorruptShardError(bucket.uri(f"releases/{version}/{file['path']}"), file["sha256"], found)
    (scratch / "manifest.json").write_bytes(bucket.get(_manifest_key(version)))
    shutil.rmtree(target, ignore_errors=True)
    scratch.replace(target)
    return target


def _is_manifest(key: str) -> bool:
    return key.count("/") == 2 and key.endswith("/manifest.json")


def _manifest_key(version: str, root: str = RELEASES) -> str:
    return f"{root}/{version}/manifest.json"
