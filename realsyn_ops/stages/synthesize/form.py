"""The form of an answer: one sentence, whole, in plain text, about its subject and not about itself."""

import re
from collections import Counter
from itertools import pairwise

from realsyn_ops.stages.synthesize.instructions import is_instruction
from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.sources import Read, Sources, content

_WORD = re.compile(r"\w")
_LAST_WORD = re.compile(r"[^\W_]+(?=[^\w]*$)")
_SELF_REMARK = re.compile(
    r"\b(?:as an ai|language model|i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:no|')t|apologi[sz]e)|sorry,"
    r"|sure[,!]"
    r"|here(?:'s| is| are) (?:the|a|your|my)\b|merged (?:sentence|text)|raw text|the (?:caption|tags?)\b|rewritten|"
    r"i (?:have |'ve )?(?:merged|combined|rewritten)|(?:given|provided) (?:text|sentence|information))",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[<>{}|`*#\\~^=\[\]]")
_SPLIT_WORD = re.compile(r"\w- (?!and|or|to)\w| [.,;:!?]")
_STARTS_WELL = re.compile(r"[\"“‘'(]*(?:[^\W\d_]|[$€£¥]?\d)")
_ENDS_WELL = re.compile(r"[^\W_][\"”’')%]*[.!?][\"”’')]*$")
_NEXT_SENTENCE = re.compile(r"(\S+)[.!?][\"”’')]*\s+[\"“‘'(]*[^\W\d_a-zß-ÿ]")
_ABBREVIATION = re.compile(
    r"(?:^|\W)(?:[^\W\d_]|mr|mrs|ms|dr|prof|st|mt|no|vs|etc|jr|sr|ca|fig|approx|[a-z](?:\.[a-z])+)$", re.IGNORECASE
)
_ENDLESS = """
a an the of and or but nor with by from for into onto as at than which who whose if because while when where my your its
our their very is are was were be been has had such including
"""
_DANGLING = frozenset(_ENDLESS.split())


def form_reason(text: str, sources: Sources) -> GroundingReason | None:
    """The first broken rule of form; ``text`` has no space around it."""
    if not _WORD.search(text):
        return GroundingReason.EMPTY
    remark = _SELF_REMARK.search(text)
    if remark and remark[0].lower() not in sources.text.lower():
        return GroundingReason.SELF_REMARK
    if is_instruction(text):
        return GroundingReason.INSTRUCTION
    if not _is_one_sentence(text, sources):
        return GroundingReason.NOT_ONE_SENTENCE
    last = _LAST_WORD.search(text)
    if not _ENDS_WELL.search(text) or not last or last[0].lower() in _DANGLING:
        return GroundingReason.CUT
    return None


def repetition_reason(read: Read, sources: Sources) -> GroundingReason | None:
    """A word twice in a row where no source has it so, two content words together twice, or one in circles."""
    twice = {one for one, other in pairwise(_words(read)) if one == other}
    if twice and not twice <= {one for part in sources.parts for one, other in pairwise(_words(part)) if one == other}:
        return GroundingReason.REPETITION
    words = content(read)
    if len(words) == len(set(words)):
        return None
    said = Counter(found for part in sources.parts for found in content(part))
    pairs = Counter(pair for part in sources.parts for pair in pairwise(content(part)))
    if any(count > said[word] + 1 for word, count in Counter(words).items()) or any(
        count > max(1, pairs[pair]) for pair, count in Counter(pairwise(words)).items()
    ):
        return GroundingReason.REPETITION
    return None


def closed(text: str) -> str:
    """The text with an end mark."""
    if _ENDS_WELL.search(text):
        return text
    return re.sub(r"[^\w\"”’')%]+$", "", text) + "."


def _words(read: Read) -> list[str]:
    return [token.word for token, _ in read]


def _is_one_sentence(text: str, sources: Sources) -> bool:
    first = next(char for char in text if char.isalnum())
    return (
        "\n" not in text
        and bool(_STARTS_WELL.match(text))
        and not first.islower()
        and all(mark in sources.text for mark in _MARKUP.findall(text))
        and not _SPLIT_WORD.search(text)
        and text.count("(") == text.count(")")
        and text.count("“") == text.count("”")
        and text.count('"') % 2 == 0
        and all(_ABBREVIATION.search(end[1]) for end in _NEXT_SENTENCE.finditer(text))
    )
