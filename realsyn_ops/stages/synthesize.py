"""From a rewriter's answers to synthetic texts: the grounding gate, and what stands in for a refused answer.

The paper trusts its teacher; we do not trust ours: every content word, name and number must come from the merge.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Literal

from realsyn_ops.kinds import FUNCTION_WORDS, Merge
from realsyn_ops.records import fold_space


class GroundingReason(StrEnum):
    """Why an answer was refused, in the order the rules are tried."""

    EMPTY = "empty"
    SELF_REMARK = "self_remark"
    NOT_ONE_SENTENCE = "not_one_sentence"
    CUT = "cut"
    REPETITION = "repetition"
    TOO_LONG = "too_long"
    COPIES_REALISTIC_TEXT = "copies_realistic_text"
    COPIES_CAPTION = "copies_caption"
    CONCATENATION = "concatenation"
    UNGROUNDED_NUMBER = "ungrounded_number"
    UNGROUNDED_NAME = "ungrounded_name"
    UNGROUNDED_WORD = "ungrounded_word"
    DROPS_TEXT = "drops_text"
    DROPS_DOUBT = "drops_doubt"


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A synthetic text, who wrote it, and the rule the rewriter's answer broke ("" when it is the rewriter's)."""

    text: str
    origin: Literal["rewriter", "template"]
    reason: str


def synthesize(merges: list[Merge], answers: list[str], *, max_words: int) -> list[Synthesis]:
    """One synthetic text a merge, in order: the answer where it passes the gate, else the template."""
    texts = []
    for merge, answer in zip(merges, answers, strict=True):
        reason = grounding_reason(answer, merge, max_words=max_words)
        if reason is None:
            texts.append(Synthesis(fold_space(answer), "rewriter", ""))
        else:
            texts.append(Synthesis(template_text(merge), "template", reason))
    return texts


def grounding_reason(text: str, merge: Merge, *, max_words: int) -> str | None:
    """The first broken rule of the grounding gate; None when the answer may be used."""
    text = text.strip()
    sources = _Sources(merge)
    return (
        _form_reason(text, sources)
        or (GroundingReason.TOO_LONG if len(text.split()) > max_words else None)
        or _copy_reason(text, merge)
        or _ungrounded_reason(text, sources)
        or _loss_reason(text, merge)
    )


def template_text(merge: Merge) -> str:
    """The caption, a colon, the realistic text: always grounded, and one sentence whatever the realistic text is."""
    caption = fold_space(merge.caption).rstrip(" .!?,;:") or _tags_caption(merge.tags)
    opening = caption[:1].upper() + caption[1:]
    realistic = fold_space(merge.realistic_text)
    if _form_reason(_close(realistic[:1].upper() + realistic[1:]), _Sources(merge)) is not None:
        realistic = _flatten(realistic)
    if not _WORD.search(realistic):
        return _close(opening)
    return _close(f"{opening}: {_lower_first(realistic)}")


_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_SELF_REMARK = re.compile(
    r"\b(?:as an ai|language model|i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:no|')t|apologi[sz]e)|sorry,"
    r"|sure[,!]"
    r"|here(?:'s| is| are) (?:the|a|your|my)\b|merged (?:sentence|text)|raw text|the (?:caption|tags?)\b|rewritten|"
    r"i (?:have |'ve )?(?:merged|combined|rewritten))",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[<>{}|`*#\\~^=\[\]]")
_SPLIT_WORD = re.compile(r"\w- (?!and|or|to)\w| [.,;:!?]")
_STARTS_WELL = re.compile(r"[\"“‘'(]*(?:[^\W\d_]|\d)")
_ENDS_WELL = re.compile(r"[^\W_][\"”’')%]*[.!?][\"”’')]*$")
_NEXT_SENTENCE = re.compile(r"(\S+)[.!?][\"”’')]*\s+[\"“‘'(]*[^\W\d_a-zß-ÿ]")
_ABBREVIATION = re.compile(
    r"(?:^|\W)(?:[^\W\d_]|mr|mrs|ms|dr|prof|st|no|vs|etc|jr|sr|ca|fig|approx|[a-z](?:\.[a-z])+)$", re.IGNORECASE
)
_DANGLING = frozenset({
    "a", "an", "the", "of", "and", "or", "but", "nor", "with", "by", "from", "for", "into", "onto", "as", "at", "than",
    "which", "who", "whose", "if", "because", "while", "when", "where", "my", "your", "its", "our", "their", "very",
})  # fmt: skip
_DOUBT = re.compile(r"\b(?:may|might|could|perhaps|possibly|probably|maybe)\b", re.IGNORECASE)
_PICTURE = frozenset({"photo", "pictur"})
_NEGATIONS = ("n't", "n’t")
_SMALL_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_SMALL_NUMBERS)} | {
    "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "hundred": "100", "thousand": "1000",
}  # fmt: skip
_ENDINGS = (
    ("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("ly", ""), ("s", ""),
)  # fmt: skip


class _Sources:
    """What an answer may be made of."""

    def __init__(self, merge: Merge) -> None:
        self.text = " ".join((merge.realistic_text, merge.caption, *merge.tags))
        words = list(_words(self.text))
        self.pairs = set(pairwise(words))
        self.stems = {_stem(word) for word in words}
        tags = Counter(_content(" ".join(merge.tags)))
        self.counts = Counter(_content(f"{merge.realistic_text} {merge.caption}")) | tags
        self.numbers = {_number(word) for word in words} - {None}


def _form_reason(text: str, sources: _Sources) -> GroundingReason | None:
    if not _WORD.search(text):
        return GroundingReason.EMPTY
    remark = _SELF_REMARK.search(text)
    if remark and remark[0].lower() not in sources.text.lower():
        return GroundingReason.SELF_REMARK
    if not _is_one_sentence(text, sources):
        return GroundingReason.NOT_ONE_SENTENCE
    words = list(_words(text))
    if not _ENDS_WELL.search(text) or words[-1] in _DANGLING:
        return GroundingReason.CUT
    return GroundingReason.REPETITION if _repeats(words, sources) else None


def _is_one_sentence(text: str, sources: _Sources) -> bool:
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


def _repeats(words: list[str], sources: _Sources) -> bool:
    """The same word twice in a row where no source has it so, or a content word more often than they."""
    twice = {pair for pair in pairwise(words) if pair[0] == pair[1]}
    counts = Counter(_content(" ".join(words)))
    return not twice <= sources.pairs or any(counts[stem] > max(1, sources.counts[stem]) for stem in counts)


def _copy_reason(text: str, merge: Merge) -> GroundingReason | None:
    answer, realistic, caption = map(_content, (text, merge.realistic_text, merge.caption))
    if answer == realistic:
        return GroundingReason.COPIES_REALISTIC_TEXT
    if answer == caption:
        return GroundingReason.COPIES_CAPTION
    if caption and realistic and answer in (caption + realistic, realistic + caption):
        return GroundingReason.CONCATENATION
    return None


def _ungrounded_reason(text: str, sources: _Sources) -> GroundingReason | None:
    """Numbers by value, words by stem; a function word needs no source, a negation does."""
    found = list(_WORD.finditer(text))
    for place, match in enumerate(found):
        word = match[0].lower()
        if word in FUNCTION_WORDS or _stem(word) in sources.stems:
            continue
        if (number := _number(word)) is not None:
            if number in sources.numbers:
                continue
            return GroundingReason.UNGROUNDED_NUMBER
        is_name = place > 0 and match[0][0].isupper()
        return GroundingReason.UNGROUNDED_NAME if is_name else GroundingReason.UNGROUNDED_WORD
    return None


def _loss_reason(text: str, merge: Merge) -> GroundingReason | None:
    """More than half of the realistic text's content stays, and what the caption only supposes is not asserted."""
    answer, realistic, caption = (set(_content(part)) for part in (text, merge.realistic_text, merge.caption))
    if realistic and 2 * len(answer & realistic) <= len(realistic):
        return GroundingReason.DROPS_TEXT
    supposed = (caption | set(_content(" ".join(merge.tags)))) - realistic - _PICTURE
    if _DOUBT.search(merge.caption) and answer & supposed and not _DOUBT.search(text):
        return GroundingReason.DROPS_DOUBT
    return None


def _words(text: str) -> Iterator[str]:
    return (match[0].lower() for match in _WORD.finditer(text))


def _content(text: str) -> list[str]:
    return [_stem(word) for word in _words(text) if word not in FUNCTION_WORDS]


def _number(word: str) -> str | None:
    if word in _NUMBER_WORDS:
        return _NUMBER_WORDS[word]
    return word.replace(",", "") if word[0].isdigit() else None


def _stem(word: str) -> str:
    """The word without the endings of plural, verb and adverb; a negated verb keeps its negation."""
    word = word.replace("’", "'")
    if word[0].isdigit() or word.endswith(_NEGATIONS):
        return word
    word = word.removesuffix("'s").removesuffix("'")
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and not word.endswith(("ss", "us", "is")) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiols":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


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


def _close(text: str) -> str:
    """The text with an end mark."""
    if _ENDS_WELL.search(text):
        return text
    return re.sub(r"[^\w\"”’')%]+$", "", text) + "."
