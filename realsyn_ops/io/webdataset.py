"""Tars as WebDataset and open_clip read them: ``KEY.jpg``, ``KEY.json`` and ``KEY.txt`` of one sample after another.

The bytes depend on the samples and their order alone: no clock, no owner, sorted JSON. What is in a sample is decided
in `stages.export`.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from realsyn_ops.errors import PermanentError

# A dot would end the key, a slash would make a folder.
_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Sample:
    key: str
    jpg: bytes
    txt: str
    json: dict[str, Any]


def write_tar(samples: Iterable[Sample]) -> bytes:
    """One tar with the samples in the order given. PermanentError for a key that occurs twice or cannot be a name."""
    content = io.BytesIO()
    seen: set[str] = set()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            if sample.key in seen or not _KEY.fullmatch(sample.key):
                raise PermanentError(f"a sample's key must be letters, digits, _ or -, and occur once: {sample.key!r}")
            seen.add(sample.key)
            _add(tar, f"{sample.key}.jpg", sample.jpg)
            _add(tar, f"{sample.key}.json", json.dumps(sample.json, sort_keys=True, ensure_ascii=False).encode())
            _add(tar, f"{sample.key}.txt", sample.txt.encode())
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(content))
