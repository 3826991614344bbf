"""Lists of tags mined from the corpus: one file each, ``corpus/tag_lists/VERSION.json``, that never changes.

The version is the digest of the file: the tags in order with their scores, what they were made with, and how many
phrases were refused for which reason.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from realsyn_ops.errors import CorruptShardError, PermanentError
from realsyn_ops.io.storage import Bucket

_PREFIX = "corpus/tag_lists"


@dataclass(frozen=True)
class TagList:
    """``tags``: `tag`, `concreteness` and `n_sentences` of each, null for base tags; these come first, then the mined
    ones from the best on. ``made_with``: models and limits; ``counts``: of phrases."""

    tags: list[dict[str, Any]]
    made_with: dict[str, Any]
    counts: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row["tag"] for row in self.tags)

    @property
    def version(self) -> str:
        return hashlib.sha256(self._json()).hexdigest()[:16]

    def _json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=0, ensure_ascii=False).encode()


def publish_tag_list(bucket: Bucket, found: TagList) -> bool:
    """Store the list under its version; False, and nothing done, where it is there already."""
    return bucket.put_new(_key(found.version), found._json())


def read_tag_list(bucket: Bucket, version: str) -> TagList:
    """Raises PermanentError, naming those there are, for an unknown version; CorruptShardError for changed bytes."""
    content = bucket.find(_key(version))
    if content is None:
        there = ", ".join(tag_list_versions(bucket)) or "none: run mine_tags"
        raise PermanentError(f"no tag list {version!r} in {bucket.uri(_PREFIX)}; there are: {there}")
    if (digest := hashlib.sha256(content).hexdigest()[:16]) != version:
        raise CorruptShardError(bucket.uri(_key(version)), version, digest)
    return TagList(**json.loads(content))


def tag_list_versions(bucket: Bucket) -> list[str]:
    """Versions that are published, in order of name."""
    return [item.key.removeprefix(f"{_PREFIX}/").removesuffix(".json") for item in bucket.list(f"{_PREFIX}/")]


def _key(version: str) -> str:
    return f"{_PREFIX}/{version}.json"
