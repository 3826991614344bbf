"""Whether an answer is a source once more, or two of them one after the other."""

from itertools import pairwise

from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.sources import Read, Sources, content
from realsyn_ops.stages.synthesize.vocabulary import PICTURE

_COPIED = 0.9
"""Share of a text's neighbouring pairs of content words, from which on it may be copied."""
_COPIED_WORDS = 0.75
"""The same of all its words: an article changed here and there is a copy all the same."""


def copy_reason(read: Read, sources: Sources) -> GroundingReason | None:
    answer, realistic, caption = content(read), content(sources.realistic), content(sources.caption)
    if caption and answer == caption:
        return GroundingReason.COPIES_CAPTION
    if not realistic or not _has_pairs(answer, realistic, _COPIED):
        return None
    if answer != realistic and not _has_pairs(_words(read), _words(sources.realistic), _COPIED_WORDS):
        return None
    if set(answer) <= set(realistic):
        return GroundingReason.COPIES_REALISTIC_TEXT
    return GroundingReason.CONCATENATION if _adds_caption(answer, realistic, caption) else None


def _words(read: Read) -> list[str]:
    return [found or token.word for token, found in read]


def _has_pairs(answer: list[str], original: list[str], share: float) -> bool:
    pairs = set(pairwise(original))
    return answer == original or (bool(pairs) and len(pairs.intersection(pairwise(answer))) >= share * len(pairs))


def _adds_caption(answer: list[str], realistic: list[str], caption: list[str]) -> bool:
    """What stands before the copy of the text, or behind it, is most of the caption in its order."""
    wanted = set(caption) - PICTURE or set(caption)
    n = len(realistic)
    for rest in (answer[:-n], answer[n:]):
        shared, words = [word for word in rest if word in caption], iter(caption)
        is_caption = len(rest) <= len(shared) + 1 and len(wanted.intersection(shared)) >= _COPIED * len(wanted)
        if shared and is_caption and all(word in words for word in shared):
            return True
    return False
