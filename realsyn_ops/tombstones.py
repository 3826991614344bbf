"""What is taken down for good: exact things by their hashes, rules as they are. Ingestion asks this of all it reads.

A tombstone is one takedown's; it holds no text and no picture. Keys of images and sentences are hashes of their
content, so that they stand for them; a domain and a pattern can only be kept as they are.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from realsyn_ops.records import url_key

MAX_PATTERN = 200


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """Who took down what, when and why.

    ``urls``: keys of addresses, of documents and of images. ``letters``: of sentences that go in any punctuation and
    case (`letters_key`). ``phashes``: perceptual hashes as 16 hex digits, a slash, and the distance that is too near.
    """

    id: str
    when: str
    by: str
    why: str
    documents: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    phashes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Tombstone":
        values: dict[str, Any] = json.loads(data)
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values)

    def joined(self, other: "Tombstone") -> "Tombstone":
        """This one with all that the other has too: a takedown that goes on where it was killed."""
        lists = [field.name for field in fields(self) if isinstance(getattr(self, field.name), tuple)]
        both: dict[str, Any] = {n: tuple(sorted({*getattr(self, n), *getattr(other, n)})) for n in lists}
        return replace(self, **both)


class Tombstones:
    """All of a bucket. Each question is answered by the id of the takedown that the thing falls under, or ""."""

    def __init__(self, of: Iterable[Tombstone] = ()) -> None:
        of = sorted(of, key=lambda one: one.id)
        self._exact: dict[str, str] = {}
        for one in reversed(of):
            for keys in (one.documents, one.urls, one.images, one.sentences, one.letters):
                self._exact |= dict.fromkeys(keys, one.id)
        self.images = frozenset(key for one in of for key in one.images)
        self.domains = {domain: one.id for one in reversed(of) for domain in one.domains}
        self.patterns = {pattern: one.id for one in reversed(of) for pattern in one.patterns}
        self._has_letters = any(one.letters for one in of)
        self._phashes = [(*parse_phash(text), one.id) for one in of for text in one.phashes]

    def __bool__(self) -> bool:
        return bool(self._exact or self.domains or self.patterns or self._phashes)

    @property
    def has_phashes(self) -> bool:
        return bool(self._phashes)

    def document(self, key: str, url: str) -> str:
        return self._exact.get(key, "") or self.url(url)

    def url(self, url: str) -> str:
        """Of an address, whether a document's or an image's: by itself or by its domain."""
        return (self._exact.get(url_key(url), "") or self._domain(url)) if url else ""

    def image(self, key: str) -> str:
        return self._exact.get(key, "")

    def picture(self, phash: int) -> str:
        """By what the image looks like."""
        return next((one for known, near, one in self._phashes if (known ^ phash).bit_count() <= near), "")

    def sentence(self, key: str, text: str) -> str:
        letters = self._exact.get(letters_key(text), "") if self._has_letters else ""
        return self._exact.get(key, "") or letters or self.text(text)

    def text(self, text: str) -> str:
        """Of any text, by a pattern that is found in it."""
        return next((one for pattern, one in self.patterns.items() if has_pattern([text], pattern)[0]), "")

    def redacted(self, text: str) -> str:
        """What is said about a document or image, empty where a pattern is found in it."""
        return "" if self.patterns and self.text(text) else text

    def _domain(self, url: str) -> str:
        return next((one for domain, one in self.domains.items() if is_of_domain(url, domain)), "")


def letters_key(text: str) -> str:
    """Key of a sentence without case, punctuation and white space."""
    letters = "".join(c for c in text.casefold() if c.isalnum())
    return "l" + hashlib.sha256(letters.encode()).hexdigest()[:32]


def is_of_domain(url: str, domain: str) -> bool:
    """Whether an address is at the domain or below it."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    return host == domain or host.endswith(f".{domain}")


def has_pattern(texts: list[str], pattern: str) -> list[bool]:
    """Which texts a pattern is found in: a regular expression of RE2, which takes time by length alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[bool] = pc.match_substring_regex(pa.array(texts, pa.string()), pattern).fill_null(False).to_pylist()
    return found


def parse_phash(text: str) -> tuple[int, int]:
    """The hash and the distance that is too near."""
    digits, _, near = text.partition("/")
    return int(digits, 16), int(near)


def count_of(tombstone: Tombstone) -> Mapping[str, int]:
    """How much of each kind a tombstone names."""
    values = {field.name: getattr(tombstone, field.name) for field in fields(tombstone)}
    return {name: len(value) for name, value in values.items() if isinstance(value, tuple) and value}
