"""What stands in for a refused answer: the caption, a colon, the realistic text."""

import re
from collections.abc import Iterable

from realsyn_ops.kinds import FUNCTION_WORDS, Merge
from realsyn_ops.records import fold_space
from realsyn_ops.stages.synthesize.form import closed, form_reason, repetition_reason
from realsyn_ops.stages.synthesize.instructions import without_instructions
from realsyn_ops.stages.synthesize.sources import Sources

_WORD = re.compile(r"[^\W_]")


def template_text(merge: Merge) -> str:
    """Always grounded, and one sentence whatever the realistic text is; sentences that address a model are left out."""
    caption = fold_space(merge.caption).rstrip(" .!?,;:") or _tags_caption(merge.tags)
    opening = caption[:1].upper() + caption[1:]
    realistic = fold_space(without_instructions(merge.realistic_text))
    if not _WORD.search(realistic):
        return closed(opening)
    if not _is_well_formed(closed(realistic[:1].upper() + realistic[1:]), merge):
        realistic = _flatten(realistic)
    return closed(f"{opening}: {_lower_first(realistic)}")


def _is_well_formed(text: str, merge: Merge) -> bool:
    sources = Sources(merge)
    return form_reason(text, sources) is None and repetition_reason(sources.find(text)[0], sources) is None


def _tags_caption(tags: Iterable[str]) -> str:
    names = [fold_space(tag) for tag in tags if tag.strip()]
    return f"a picture that may show {' or '.join(names[:2])}" if names else "a picture"


def _lower_first(text: str) -> str:
    """The text without its capital, where that belongs to a function word and not to a name."""
    first = text.split(maxsplit=1)[0]
    return text[:1].lower() + text[1:] if first.lower() in FUNCTION_WORDS and first != "I" else text


def _flatten(text: str) -> str:
    """The text without brackets, quotes and markup, its inner sentence ends turned into semicolons."""
    bare = fold_space(re.sub(r"[<>{}|`*#\\~^=\[\]()\"“”]", " ", text))
    bare = re.sub(r"\s+([.,;:!?])", r"\1", bare)
    return re.sub(r"\s*[.!?]+(?=\s+\S)", ";", bare)
