"""Where the words of a synthetic text come from: the realistic text it was written from, the caption, the tags."""

import re
from typing import Any

from realsyn_ops.kinds import Merge
from realsyn_ops.stages.synthesize.sources import Sources

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def marked(card: dict[str, Any]) -> list[tuple[str, str]]:
    """The synthetic text in pieces, each with the first of `text`, `caption` and `tags` that has its word; "" where a
    piece is no word, one of grammar, or in none of them."""
    text = card["syn_text"]
    best = card["texts"][0]["text"] if card["texts"] else ""
    parts = {
        "text": Sources(Merge(best, "", ())),
        "caption": Sources(Merge("", card["caption"], ())),
        "tags": Sources(Merge("", "", tuple(card["tags"]))),
    }
    pieces: list[tuple[str, str]] = []
    end = 0
    for word in _WORD.finditer(text):
        pieces.append((text[end : word.start()], ""))
        pieces.append((word[0], next((name for name, part in parts.items() if _has(part, word[0])), "")))
        end = word.end()
    pieces.append((text[end:], ""))
    return [piece for piece in pieces if piece[0]]


def _has(part: Sources, word: str) -> bool:
    read, unknown, n_synonyms = part.find(word)
    return not unknown and not n_synonyms and any(found is not None for _, found in read)
