"""Whether a published release is what its manifest says: every file there and unchanged, tars and rows the same pairs.

A problem is a sentence that names the file; nothing is mended here.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.image_codec import decode_image
from realsyn_ops.io.release_rows import TEXT_KEYS, pair_files, sorted_rows
from realsyn_ops.io.releases import REVOKED, read_release
from realsyn_ops.io.storage import Bucket
from realsyn_ops.records import sentence_key

_MEMBERS = ["jpg", "json", "txt"]
_SAMPLE_FIELDS = {"text2", "text3", "syn_text"}
_TAR_ERRORS = (tarfile.TarError, OSError, EOFError, ValueError)
_IMAGE_ERRORS = (OSError, ValueError)


@dataclass
class Check:
    """What was looked at, and what is wrong with it."""

    n_files: int = 0
    n_bytes: int = 0
    n_pairs: int = 0
    n_images: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.problems


def check_release(bucket: Bucket, version: str, *, is_deep: bool = False) -> Check:
    """Reads every file once, one at a time; of several scales the keys once more, since none may stand in two.

    ``is_deep``: every picture of the tars is decoded, too.
    """
    release = read_release(bucket, version)
    check = Check()
    prefix = f"releases/{version}/"
    there = {item.key[len(prefix) :]: item.n_bytes for item in bucket.list(prefix)}
    listed = {file["path"]: file for file in release.manifest["files"]}
    for path in sorted(set(there) - set(listed) - {"manifest.json", REVOKED}):
        check.problems.append(f"{path}: is not in the manifest")
    for path in sorted(set(listed) - set(there)):
        check.problems.append(f"{path}: is missing")
    runs = pair_files(release.manifest)
    tars = {PurePosixPath(path).stem: path for path in listed if path.startswith("tars/")}
    others = set(listed) - {*tars.values(), *(path for run in runs for path in run)}
    for run in runs:
        last = ""
        for path in run:
            rows = _rows(path, _read(bucket, prefix, listed[path], there, check), check)
            last = _check_order(path, rows, last, check)
            if (twin := tars.pop(PurePosixPath(path).stem, None)) is None:
                check.problems.append(f"{path}: there is no tar of these pairs")
            else:
                tar = _read(bucket, prefix, listed[twin], there, check)
                check.problems += _tar_problems(twin, tar, rows, check, is_deep=is_deep)
    check.problems += [f"{path}: there are no rows of this tar" for path in sorted(tars.values())]
    for path in sorted(others):
        _read(bucket, prefix, listed[path], there, check)
    if check.n_pairs != release.n_pairs:
        check.problems.append(f"manifest.json: says {release.n_pairs} pairs, the files hold {check.n_pairs}")
    if len(runs) > 1 and check.is_good:
        keys = (row[0] for row in sorted_rows(bucket, version, ["key"]))
        check.problems += [f"pairs/: {key} stands in two scales" for key, after in pairwise(keys) if key == after]
    return check


def _check_order(path: str, rows: list[dict[str, Any]], last: str, check: Check) -> str:
    """Keys rise over all files of a run; returns the highest so far."""
    for row in rows:
        if row["key"] <= last:
            what = "stands twice" if row["key"] == last else f"comes after {last}: keys are not in order"
            check.problems.append(f"{path}: {row['key']} {what}")
        last = max(last, row["key"])
    check.n_pairs += len(rows)
    return last


def _read(bucket: Bucket, prefix: str, file: dict[str, Any], there: dict[str, int], check: Check) -> bytes:
    """A file's bytes, held against the manifest; none for one that is not there."""
    if file["path"] not in there:
        return b""
    data = bucket.get(prefix + file["path"])
    check.n_files += 1
    check.n_bytes += len(data)
    if len(data) != file["bytes"]:
        check.problems.append(f"{file['path']}: has {len(data)} bytes, the manifest says {file['bytes']}")
    elif (found := hashlib.sha256(data).hexdigest()) != file["sha256"]:
        check.problems.append(f"{file['path']}: sha256 is {found}, the manifest says {file['sha256']}")
    return data


def _rows(path: str, data: bytes, check: Check) -> list[dict[str, Any]]:
    if not data:
        return []
    try:
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        check.problems.append(f"{path}: is not readable as parquet: {error}")
        return []
    for row in rows:
        for name in TEXT_KEYS:
            if sentence_key(row[name.removesuffix("_key")]) != row[name]:
                check.problems.append(f"{path}: {row['key']}: {name} is not the key of its text")
    return rows


def _tar_problems(path: str, data: bytes, rows: list[dict[str, Any]], check: Check, *, is_deep: bool) -> Iterator[str]:
    """Samples are the rows, in their order, with their texts."""
    left = {row["key"]: row for row in rows}
    seen: set[str] = set()
    try:
        for key, members in _samples(data):
            row = left.pop(key, None)
            if row is None:
                yield f"{path}: sample {key} {'stands twice' if key in seen else 'is in no row'}"
            else:
                yield from (f"{path}: sample {key}: {problem}" for problem in _sample_problems(members, row))
            seen.add(key)
            if is_deep and "jpg" in members:
                check.n_images += 1
                try:
                    decode_image(members["jpg"])
                except _IMAGE_ERRORS as error:
                    yield f"{path}: sample {key}: the picture does not decode: {error}"
    except _TAR_ERRORS as error:
        yield f"{path}: is not readable as a tar: {error}"
        return
    yield from (f"{path}: has no sample of {key}" for key in left)


def _samples(data: bytes) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Samples as WebDataset groups them: neighbours with one key."""
    key = ""
    members: dict[str, bytes] = {}
    if not data:
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name, _, kind = member.name.partition(".")
            if name != key and members:
                yield key, members
                members = {}
            file = tar.extractfile(member)
            key, members[kind] = name, file.read() if file else b""
    if members:
        yield key, members


def _sample_problems(members: dict[str, bytes], row: dict[str, Any]) -> Iterator[str]:
    if sorted(members) != _MEMBERS:
        yield f"has {', '.join(sorted(members))} instead of {', '.join(_MEMBERS)}"
        return
    if members["txt"].decode(errors="replace") != row["text1"]:
        yield "txt is not the row's text1"
    try:
        fields = dict(json.loads(members["json"]))
    except (ValueError, TypeError):
        yield "json is not readable"
        return
    if missing := _SAMPLE_FIELDS - fields.keys():
        yield f"json has no {', '.join(sorted(missing))}"
    for name in sorted(fields.keys() & row.keys()):
        if fields[name] != row[name]:
            yield f"json's {name} is not the row's"
