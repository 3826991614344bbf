"""Releases: immutable folders ``releases/<version>/`` that exist once their manifest does.

Sets of lessons are published in the same way under another root.

A release that must not be used any more is revoked: ``REVOKED.json`` beside the manifest says so. Nothing else in the
folder changes, and the marker never goes away.
"""

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.storage import Bucket

RELEASES = "releases"
REVOKED = "REVOKED.json"
_REVOKED_MEANS = "This release is revoked: do not use it, and do not train on it any more."


@dataclass(frozen=True, slots=True)
class Release:
    """A published version: when it was (a time in UTC), what its manifest says, its marker if it is revoked."""

    version: str
    published: str
    manifest: dict[str, Any]
    revoked: dict[str, str] | None

    @property
    def n_pairs(self) -> int:
        return int(self.manifest["selection"]["n_selected"])

    @property
    def n_bytes(self) -> int:
        return sum(file["bytes"] for file in self.manifest["files"])


def is_published(bucket: Bucket, version: str, *, root: str = RELEASES) -> bool:
    return bucket.exists(_manifest_key(version, root))


def versions(bucket: Bucket) -> list[str]:
    """Published versions, in order of name: the last day of their documents, then their plan."""
    return sorted(version for _, version in _published(bucket))


def newest(bucket: Bucket) -> str:
    """The version published last; empty when there is none."""
    return max(_published(bucket), default=(None, ""))[1]


def releases(bucket: Bucket) -> list[Release]:
    """All published releases, the one published last at the end."""
    return [_release(bucket, version, modified) for modified, version in sorted(_published(bucket))]


def read_release(bucket: Bucket, version: str) -> Release:
    """Raises PermanentError, with the versions there are, when this one is not published."""
    for modified, found in _published(bucket, version):
        if found == version:
            return _release(bucket, version, modified)
    there = ", ".join(versions(bucket)) or "none"
    raise PermanentError(f"release {version!r} is not published; there are: {there}")


def revocation(bucket: Bucket, version: str) -> dict[str, str] | None:
    """The marker of a revoked release: its reason and when it was revoked; None for one that may be used."""
    found = bucket.find(f"releases/{version}/{REVOKED}")
    return json.loads(found) if found else None


def revoke(bucket: Bucket, version: str, reason: str) -> dict[str, str]:
    """Mark a published release as revoked, once and for all; returns the marker.

    Raises PermanentError without a reason, and for a release that is revoked already: the first reason stands.
    """
    if not reason.strip():
        raise PermanentError("a release is revoked for a reason: say it in words that its users understand")
    read_release(bucket, version)
    marker = {"release": version, "status": _REVOKED_MEANS, "reason": reason.strip(), "revoked": _utc(None)}
    data = json.dumps(marker, indent=1, ensure_ascii=False).encode()
    if not bucket.put_new(f"releases/{version}/{REVOKED}", data):
        first = revocation(bucket, version) or {}
        raise PermanentError(f"release {version} was revoked at {first.get('revoked')}: {first.get('reason')}")
    return marker


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
    """Copy a release's files to ``into/<version>/``, checked against its manifest; visible only when whole.

    The marker of a revoked release comes along.
    """
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
    if marker := bucket.find(f"releases/{version}/{REVOKED}"):
        (scratch / REVOKED).write_bytes(marker)
    shutil.rmtree(target, ignore_errors=True)
    scratch.replace(target)
    return target


def _utc(seconds: float | None) -> str:
    """A time, or now, to the second."""
    when = dt.datetime.now(dt.UTC) if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _published(bucket: Bucket, name: str = "") -> list[tuple[float, str]]:
    """When each version whose name starts so was published, and its name."""
    found = ((item.modified, item.key) for item in bucket.list(f"releases/{name}"))
    return [(modified, key.split("/")[1]) for modified, key in found if key == _manifest_key(key.split("/")[1])]


def _release(bucket: Bucket, version: str, modified: float) -> Release:
    return Release(version, _utc(modified), read_manifest(bucket, version), revocation(bucket, version))


def _manifest_key(version: str, root: str = RELEASES) -> str:
    return f"{root}/{version}/manifest.json"
