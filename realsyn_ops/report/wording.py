"""Numbers and names as a reader sees them, the same on the terminal and on the page. No layout, no markup."""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from realsyn_ops.records import Reason

_BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])

REASON_MEANING: dict[str, str] = {
    Reason.UNREADABLE_DOCUMENT: "could not be read at all",
    Reason.EMPTY_DOCUMENT: "neither text nor image in it",
    Reason.TOO_MANY_NODES: "more nodes than a document may have",
    Reason.DOCUMENT_TOO_LARGE: "more bytes than a document may have",
    Reason.TAKEN_DOWN: "taken down; the detail names the takedown",
    Reason.IMAGE_MISSING: "named in the document, not found",
    Reason.IMAGE_OUTSIDE_BUNDLE: "its path leaves the document's bundle",
    Reason.IMAGE_REMOTE: "only an address, no bytes",
    Reason.IMAGE_TOO_LARGE: "more bytes than an image may have",
    Reason.IMAGE_FORMAT: "not a raster format we read",
    Reason.IMAGE_TOO_MANY_PIXELS: "would decode to too many pixels",
    Reason.IMAGE_BROKEN: "does not decode",
    Reason.FETCH_ADDRESS: "its address leads where nothing may be fetched",
    Reason.FETCH_ROBOTS: "its site asks not to be fetched or used",
    Reason.FETCH_OPT_OUT: "on an opt-out list",
    Reason.FETCH_NOT_FOUND: "its server says it is not there",
    Reason.FETCH_FAILED: "its server gave no good answer in any try",
    Reason.FETCH_REDIRECTS: "redirected in a loop, or too often",
    Reason.FETCH_TRUNCATED: "its server sent less than it announced",
    Reason.IMAGE_TOO_SMALL: "shorter side below the limit",
    Reason.IMAGE_ASPECT: "too wide or too tall",
    Reason.IMAGE_POLICY: "refused by a policy of yours",
    Reason.EMOJI: "holds an emoji",
    Reason.URL: "holds a web address",
    Reason.TOO_FEW_WORDS: "too short",
    Reason.TOO_MANY_WORDS: "too long",
    Reason.LANGUAGE: "not in the wanted language",
    Reason.EMAIL: "holds an e-mail address",
    Reason.PHONE: "holds a phone number",
    Reason.IP_ADDRESS: "holds an IP address",
    Reason.BOILERPLATE: "stands on too many pages of its site",
    Reason.LOW_COMPLEXITY: "no object with a relation (below C1)",
    Reason.NO_ACTION: "no verb",
    Reason.LOW_ENTROPY: "only words that carry little information",
    Reason.LOW_PERPLEXITY: "boilerplate: too easy to predict",
    Reason.HIGH_PERPLEXITY: "not fluent: too hard to predict",
    Reason.IDENTICAL: "the very same is already there",
    Reason.PERCEPTUAL_DUPLICATE: "looks the same as one that stays",
    Reason.SEMANTIC_DUPLICATE: "means the same as one that stays",
    Reason.TOO_FEW_TEXTS: "fewer than three realistic texts found",
    Reason.SIMILARITY_TOO_LOW: "image and synthetic text do not match",
    Reason.SIMILARITY_TOO_HIGH: "the text reads what the image spells",
    Reason.CLUSTER_CAP: "its cluster has enough: balance",
}


def reason_name(reason: str) -> str:
    return reason.replace("_", " ")


def reason_meaning(reason: str) -> str:
    """What the rule refuses, in a few words; empty for a reason this version does not know."""
    return REASON_MEANING.get(reason, "")


def count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def drop(share: float | None) -> str:
    """A rejected share as the paper writes it: −15.2%."""
    if share is None:
        return "–"
    return f"−{100 * share:.1f}%" if round(share, 3) else "0.0%"


def short_count(value: int | None) -> str:
    """The paper's counts as the paper writes them: 2.13B, 168.3M."""
    if value is None:
        return "–"
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= unit:
            return f"{value / unit:.4g}{letter}"
    return str(value)


def seconds(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    if round(value, 1) < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def megabytes(n_bytes: int | None) -> str:
    if not n_bytes:
        return "–"
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 999_500_000 else f"{n_bytes / 1e6:.0f} MB"


def number(value: object) -> str:
    """A measured value with three digits that matter; text as it is, nothing for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "–"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def printable(value: Any) -> Any:
    """The same value with every string safe to print: no control characters (a terminal obeys them), no half
    surrogates (they cannot be written as UTF-8), no marks that turn the direction of what follows."""
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value
        return "".join(map(_printable_character, value.translate(_BIDI)))
    if isinstance(value, Mapping):
        return {printable(str(name)): printable(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [printable(member) for member in value]
    return value


def _printable_character(character: str) -> str:
    match unicodedata.category(character):
        case "Cc" | "Zl" | "Zp":
            return " "
        case "Cs":
            return "\N{REPLACEMENT CHARACTER}"
        case _:
            return character
