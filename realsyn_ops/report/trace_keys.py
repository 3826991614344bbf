"""What a user asks to trace: a key, the beginning of one, or a sample of a release's tar."""

import re
from dataclasses import dataclass

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.release_rows import pair_files
from realsyn_ops.io.releases import read_release, versions
from realsyn_ops.report.places import quoted

KINDS = {
    "i": ("image", "images"),
    "s": ("sentence", "sentences"),
    "r": ("reject", "rejects"),
    "u": ("fetch", "fetches"),
}
"""By first letter: what a key is of, and the table that has them all."""

_ACCEPTED = (
    "give a key of an image (i...), a sentence (s...), a reject (r...) or a fetched URL (u...), "
    "or a tar's sample as VERSION/00000.tar/SAMPLE"
)
_SAMPLE = re.compile(r"([^/]+)/(?:tars/)?([^/]+)\.tar/([^/]+?)(?:\.(?:jpg|txt|json))?")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """``version`` and ``path`` are empty unless a sample is meant; ``path`` is of the parquet file beside its tar."""

    kind: str
    key: str
    version: str = ""
    path: str = ""


def find_asked(corpus: Corpus, text: str) -> Asked:
    """Raises PermanentError for what is no key, fits several or none, or is no sample of a published release."""
    if "/" in text:
        return _sample(corpus, text)
    kind, table = KINDS.get(text[:1], ("", ""))
    if not kind or not re.fullmatch(r"[\w-]+", text):
        raise PermanentError(f"{text!r} is nothing that can be traced: {_ACCEPTED}")
    found: set[str] = set()
    for part in corpus.scan(table, ["key"], where=f"starts_with(key, {quoted(text)})"):
        found |= set(part["key"].to_pylist())
        if len(found) > _SHOWN and text not in found:
            break
    if text in found or not found:
        return Asked(kind, text)  # what no table knows any more may stand in a release
    if len(found) > 1:
        some = ", ".join(sorted(found)[:_SHOWN])
        raise PermanentError(f"{text} is the beginning of several keys: {some}{', ...' * (len(found) > _SHOWN)}")
    return Asked(kind, found.pop())


def _sample(corpus: Corpus, text: str) -> Asked:
    match = _SAMPLE.fullmatch(text.strip("/"))
    if not match:
        raise PermanentError(f"{text!r} is no sample of a tar: {_ACCEPTED}")
    version, shard, key = match.groups()
    there = [path for run in pair_files(read_release(corpus.bucket, version).manifest) for path in run]
    path = f"pairs/{shard}.parquet"
    if path not in there:
        raise PermanentError(f"release {version} has no {shard}.tar; it has {len(there)}, from 00000.tar on")
    return Asked("sample", key, version, path)


def not_known(corpus: Corpus, asked: Asked) -> PermanentError:
    """What to say of a key that neither tables nor releases have."""
    there = len(versions(corpus.bucket))
    if asked.version:
        return PermanentError(f"release {asked.version}: {asked.path} has no sample {asked.key}")
    return PermanentError(
        f"nothing is known of {asked.kind} {asked.key}: it is in no table and in none of {there} releases"
    )
