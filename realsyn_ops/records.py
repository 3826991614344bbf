"""What flows through the stages: documents, their nodes, and the reasons that refuse a record.

Only plain values live here; nothing imports a library. Keys are content hashes, so the same input has the same key
on any machine.
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a record was refused. A reason belongs to one step of the funnel."""

    # documents and nodes (extract); what is taken down, images too
    UNREADABLE_DOCUMENT = "unreadable_document"
    EMPTY_DOCUMENT = "empty_document"
    TOO_MANY_NODES = "too_many_nodes"
    DOCUMENT_TOO_LARGE = "document_too_large"
    TAKEN_DOWN = "taken_down"
    # images (extract)
    IMAGE_MISSING = "image_missing"
    IMAGE_OUTSIDE_BUNDLE = "image_outside_bundle"
    IMAGE_REMOTE = "image_remote"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_FORMAT = "image_format"
    IMAGE_TOO_MANY_PIXELS = "image_too_many_pixels"
    IMAGE_BROKEN = "image_broken"
    # images (fetch)
    FETCH_ADDRESS = "fetch_address"
    FETCH_ROBOTS = "fetch_robots"
    FETCH_OPT_OUT = "fetch_opt_out"
    FETCH_NOT_FOUND = "fetch_not_found"
    FETCH_FAILED = "fetch_failed"
    FETCH_REDIRECTS = "fetch_redirects"
    FETCH_TRUNCATED = "fetch_truncated"
    # images (quality; paper section 3.1)
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_ASPECT = "image_aspect"
    IMAGE_POLICY = "image_policy"
    # sentences (quality; paper section 3.1)
    EMOJI = "emoji"
    URL = "url"
    TOO_FEW_WORDS = "too_few_words"
    TOO_MANY_WORDS = "too_many_words"
    LANGUAGE = "language"
    EMAIL = "email"
    PHONE = "phone"
    IP_ADDRESS = "ip_address"
    BOILERPLATE = "boilerplate"
    LOW_COMPLEXITY = "low_complexity"
    NO_ACTION = "no_action"
    # sentences (semantic)
    LOW_ENTROPY = "low_entropy"
    LOW_PERPLEXITY = "low_perplexity"
    HIGH_PERPLEXITY = "high_perplexity"
    # redundancy of both
    IDENTICAL = "identical"
    PERCEPTUAL_DUPLICATE = "perceptual_duplicate"
    SEMANTIC_DUPLICATE = "semantic_duplicate"
    # pairs
    TOO_FEW_TEXTS = "too_few_texts"
    SIMILARITY_TOO_LOW = "similarity_too_low"
    SIMILARITY_TOO_HIGH = "similarity_too_high"
    CLUSTER_CAP = "cluster_cap"


NOT_SHOWN = frozenset({Reason.EMAIL, Reason.PHONE, Reason.IP_ADDRESS, Reason.IMAGE_POLICY})
"""What was refused for these is counted in reports that are passed on, and never shown there."""


@dataclass(frozen=True, slots=True)
class TextNode:
    """A paragraph, heading, cell or list item: text in reading order, white space folded."""

    text: str


@dataclass(frozen=True, slots=True)
class ImageNode:
    """An image where it stands in the document. ``data`` is None when ``reason`` says why its bytes are not there.

    ``src`` is the best address the document names, ``others`` further ones of the same image (srcset, placeholders) in
    order of preference. ``url`` is where it can be fetched from, when it can. ``alt`` and ``caption`` are what the
    document says of the image: never part of its sentences.
    """

    src: str
    alt: str = ""
    data: bytes | None = None
    reason: Reason | None = None
    detail: str = ""
    caption: str = ""
    url: str = ""
    others: tuple[str, ...] = ()


Node = TextNode | ImageNode


@dataclass(frozen=True, slots=True)
class Document:
    """An interleaved page. ``file`` is the raw object, ``record`` the member, row or line inside it."""

    source: str
    file: str
    record: str
    url: str
    title: str
    nodes: tuple[Node, ...]

    @property
    def key(self) -> str:
        """Stable id of the document: from its content, not from the day or the machine it was read on."""
        digest = hashlib.sha256()
        for part in (self.source, self.url or self.record):
            digest.update(part.encode() + b"\0")
        for node in self.nodes:
            if isinstance(node, TextNode):
                digest.update(b"t" + node.text.encode() + b"\0")
            else:
                digest.update(b"i" + node.src.encode() + b"\0" + hashlib.sha256(node.data or b"").digest())
        return "d" + digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Reject:
    """A refused record: what it was, where it stood, the rule it broke, and the value that broke it."""

    stage: str
    reason: Reason
    source: str
    file: str
    record: str
    document_key: str
    node: int
    detail: str


def image_key(data: bytes) -> str:
    """Key of an image: from its encoded bytes."""
    return "i" + hashlib.sha256(data).hexdigest()[:32]


def fold_space(text: str) -> str:
    """NFC text with every run of white space folded to one blank; the form in which text is stored and hashed."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def sentence_key(text: str) -> str:
    """Key of a sentence: from its folded text."""
    return "s" + hashlib.sha256(fold_space(text).encode()).hexdigest()[:32]


def url_key(url: str) -> str:
    """Key of a URL that was asked for: from its text."""
    return "u" + hashlib.sha256(url.encode()).hexdigest()[:32]


def hash_order(key: str, seed: int) -> bytes:
    """A seeded draw that depends on the key alone: sort by it and take the first n."""
    return hashlib.blake2b(key.encode(), digest_size=16, salt=seed.to_bytes(16, "little")).digest()
