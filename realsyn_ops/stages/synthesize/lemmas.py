"""From a word to what it may be a form of, so that an answer may say 'wove' where its source says 'weaves'.

Only inflections and spellings: a baker is no form of bake, and larger none of large. A word may have several bases
('left' is left or leave); two words are the same where they share one.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from realsyn_ops.stages.synthesize.vocabulary import BASES, SYNONYMS

_VOWELS = frozenset("aeiouy")
_WHOLE = """
early only family hardly barely nearly scarcely lately shortly mostly highly during evening morning ceiling nothing
something anything wedding indeed hundred sacred naked news always perhaps species series lens
"""
_INFLECTED_IN_LOOKS = frozenset(_WHOLE.split())


@lru_cache(maxsize=2**17)
def bases(word: str) -> tuple[str, ...]:
    """The word's possible bases, itself first; ``word`` is lower case and has no possessive ending."""
    word = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    found = dict.fromkeys(_spelled([word]))
    for _ in range(2):
        for form in list(found):
            found.update(dict.fromkeys(_spelled(BASES.get(form, ()))))
            found.update(dict.fromkeys(_spelled(_regular(form))))
    return tuple(found)


@lru_cache(maxsize=2**16)
def synonyms(word: str) -> tuple[str, ...]:
    """Bases of the words that may stand for the word, in order."""
    known = {other for base in bases(word) for other in SYNONYMS.get(base, ())}
    return tuple(sorted({base for other in known for base in bases(other)}))


def _regular(word: str) -> Iterator[str]:
    if word in _INFLECTED_IN_LOOKS or (len(word) < 4 and not word.endswith("s")):
        return
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2:
        yield word[:-1]
        if word.endswith("ies"):
            yield word[:-3] + "y"
        elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
            yield word[:-2]
    for ending in ("ed", "ing"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 1 and not _VOWELS.isdisjoint(stem) and not word.endswith("eed"):
            yield stem
            yield stem + "e"
            if len(stem) > 2 and stem[-1] == stem[-2]:
                yield stem[:-1]
            if stem[-1] == "i" and ending == "ed":
                yield stem[:-1] + "y"
    if word.endswith("ly") and len(word) > 5:
        yield word[:-2]
        if word.endswith("ily"):
            yield word[:-3] + "y"
        if word.endswith("bly"):
            yield word[:-1] + "e"
        if word.endswith("ically"):
            yield word[:-4]


def _spelled(words: Iterator[str] | list[str] | tuple[str, ...]) -> Iterator[str]:
    """The words in American spelling, as far as endings tell."""
    for word in words:
        if len(word) > 4 and word.endswith("our"):
            yield word[:-3] + "or"
        elif len(word) > 5 and word.endswith(("ise", "yse")):
            yield word[:-2] + "ze"
        elif len(word) > 5 and word.endswith("tre"):
            yield word[:-2] + "er"
        else:
            yield word
