"""What is asked to be taken down: values of a form or of a command, checked, with an id that follows from them."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields

from realsyn_ops.errors import BadPlanError
from realsyn_ops.records import url_key
from realsyn_ops.tombstones import MAX_PATTERN, has_pattern

_KEYS = {"documents": "d", "images": "i", "sentences": "s", "letters": "l"}
_PHASH = re.compile(r"[0-9a-f]{16}")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
MAX_DISTANCE = 16


@dataclass(frozen=True, kw_only=True)
class Request:
    """``urls``: addresses or their keys (`u...`); of a document or of an image. ``letters``: of sentences in any case
    and punctuation. ``phashes``: perceptual hashes, 16 hex digits, of images that go with all that look like them.
    ``max_hash_distance``: how near that is, in bits; it holds for ``images`` too."""

    urls: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    phashes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    max_hash_distance: int = 4

    def __post_init__(self) -> None:
        for name in self.lists():
            object.__setattr__(self, name, tuple(sorted({value.strip() for value in getattr(self, name)})))
        object.__setattr__(self, "domains", tuple(domain.lower().strip(".") for domain in self.domains))
        urls = {url if re.fullmatch(r"u[0-9a-f]{32}", url) else url_key(url) for url in self.urls}
        object.__setattr__(self, "urls", tuple(sorted(urls)))
        for name, letter in _KEYS.items():
            for key in getattr(self, name):
                if not re.fullmatch(f"{letter}[0-9a-f]{{32}}", key):
                    raise BadPlanError(name, f"a whole key, {letter} and 32 hex digits", key)
        for domain in self.domains:
            if not _DOMAIN.fullmatch(domain):
                raise BadPlanError("domains", "a domain as in example.org", domain)
        for phash in self.phashes:
            if not _PHASH.fullmatch(phash):
                raise BadPlanError("phashes", "16 hex digits", phash)
        for pattern in self.patterns:
            _check_pattern(pattern)
        if not 0 <= self.max_hash_distance <= MAX_DISTANCE:
            raise BadPlanError("max_hash_distance", f"from 0 to {MAX_DISTANCE} bits", self.max_hash_distance)
        if not any(getattr(self, name) for name in self.lists()):
            raise BadPlanError("the request", "something to take down", "nothing")

    @classmethod
    def lists(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name != "max_hash_distance"]

    @property
    def id(self) -> str:
        """The same request is the same takedown: killed and asked again, it goes on."""
        return "t" + hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def _check_pattern(pattern: str) -> None:
    import pyarrow as pa

    rule = f"a regular expression of RE2 of at most {MAX_PATTERN} characters that not every text matches"
    try:
        if len(pattern) > MAX_PATTERN or any(has_pattern(["", "a", "0 . -"], pattern)):
            raise BadPlanError("patterns", rule, pattern)
    except pa.ArrowInvalid as error:
        raise BadPlanError("patterns", rule, f"{pattern} ({error})") from error
