"""What an answer denies and doubts: the same things as its sources.

Decided by neighbourhood, without a parser, as in `counts` and `exchanges`: what a negation denies follows it in its
clause, or stands right before it.
"""

from collections.abc import Iterator
from functools import partial

from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.sources import Read, Sources, content
from realsyn_ops.stages.synthesize.tokens import Kind
from realsyn_ops.stages.synthesize.vocabulary import ALMOST_NEVER, PICTURE, THROUGH

_REACH = 4
"""Content words behind a negation that it may deny."""


def denial_reason(read: Read, sources: Sources) -> GroundingReason | None:
    """Every negation denies what a source denies, and nothing denied or doubted by the realistic text is asserted."""
    denied = list(_reached(read, is_doubt=False))
    may_deny = {found for part in sources.parts for words in _reached(part, is_doubt=False) for found in words}
    may_deny |= {found for part in sources.parts for found in _subjects(part)}
    if any(not words or words[0] not in may_deny for words in denied):
        return GroundingReason.UNGROUNDED_NEGATION
    said, denies = set(content(read)), {found for words in denied for found in words}.union(_subjects(read))
    if any(words and words[0] in said - denies for words in _reached(sources.realistic, is_doubt=False)):
        return GroundingReason.DROPS_NEGATION
    if not any(token.word in ALMOST_NEVER for token, _ in read) and any(
        words[0] in said for words in map(partial(_following, sources.realistic), _rare(sources.realistic)) if words
    ):
        return GroundingReason.DROPS_NEGATION
    if any(token.is_doubt for token, _ in read):
        return None
    if any(words and words[0] in said for words in _reached(sources.realistic, is_doubt=True)):
        return GroundingReason.DROPS_DOUBT
    supposed = set(content(sources.caption)).union(*map(content, sources.tags)) - set(content(sources.realistic))
    if said & supposed - PICTURE and any(token.is_doubt for token, _ in sources.caption):
        return GroundingReason.DROPS_DOUBT
    return None


def _reached(read: Read, *, is_doubt: bool) -> Iterator[list[str]]:
    """Per negation (doubt) the next content words of its clause."""
    for place, (token, _) in enumerate(read):
        if token.is_doubt if is_doubt else token.kind is Kind.NEGATION:
            if any(other.word in {"only", "just", "merely"} for other, _ in read[place + 1 : place + 2]):
                continue
            yield _following(read, place)


def _rare(read: Read) -> Iterator[int]:
    return (place for place, (token, _) in enumerate(read) if token.word in ALMOST_NEVER)


def _subjects(read: Read) -> Iterator[str]:
    """What a negation stands behind: 'ferries never stop' are 'no ferries stop', 'does not need' is 'needs no'."""
    last: str | None = None
    for token, found in read:
        last = None if token.is_first else last
        if token.kind is Kind.NEGATION and last is not None:
            yield last
        last = found or last


def _following(read: Read, place: int) -> list[str]:
    words: list[str] = []
    for token, found in read[place + 1 :]:
        if token.is_first or token.word == "but" or len(words) == _REACH:
            break
        if found is not None and token.word not in THROUGH:
            words.append(found)
    return words
