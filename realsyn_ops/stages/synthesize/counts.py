"""What an answer counts and dates: a number stands beside what it stands beside in the sources.

By neighbours: the words a number counts follow it, and the word that introduces it ('built in 1921') stands before it.
A rule refuses only where the sources give the very same word another number, or the very same number other words.
"""

from collections import defaultdict
from collections.abc import Iterator

from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.sources import Read, Sources, content
from realsyn_ops.stages.synthesize.tokens import Kind, Token
from realsyn_ops.stages.synthesize.vocabulary import LESS, MORE

Beside = tuple[str, str, str]
"""A number (a rank counts as one: the 3rd of May is 3 May), a word, and the word of grammar that links them if any."""
_REACH = 3
_LINKS = frozenset({"or", "to", "and", "of", "of its", "of the", "of their", "of these"})


def count_reason(read: Read, sources: Sources) -> GroundingReason | None:
    counted = [beside for part in sources.parts for beside in _counted(part)]
    introduced = [beside for part in sources.parts for beside in _introduced(part)]
    numbers_of: defaultdict[str, set[str]] = defaultdict(set)
    for number, word, _ in counted + introduced:
        numbers_of[word].add(number)
    told = {number for number, _, _ in counted + introduced}
    said = list(_counted(read))
    for known, mine in ((counted, said), (introduced, list(_introduced(read)))):
        places = {(word, link) for _, word, link in known}
        for number, word, link in mine:
            if (word, link) in places and number in told and number not in numbers_of[word]:
                return GroundingReason.UNGROUNDED_NUMBER
    if _changes_bounds(read, sources):
        return GroundingReason.UNGROUNDED_NUMBER
    realistic = set(content(sources.realistic))
    for number in {number for number, _, _ in said}:
        words, others = ({word for n, word, _ in some if n == number} for some in (said, counted))
        if others and words <= realistic and not words & others:
            return GroundingReason.UNGROUNDED_NUMBER
    return None


def _counted(read: Read) -> Iterator[Beside]:
    """Numbers with the content words right behind them; in '3 or 4 days' and '3 of its 4 wheels' both count."""
    for place, (token, number) in enumerate(read):
        if token.kind is not Kind.NUMBER or number is None:
            continue
        n_left = 1 if _is_year(number) else _REACH
        for other, found in read[_end_of_range(read, place) + 1 :]:
            if other.is_first or found is None or other.kind is Kind.NUMBER or not n_left:
                break
            n_left -= 1
            yield number.rstrip("."), found, ""


def _end_of_range(read: Read, place: int) -> int:
    """Where the last number of '3 or 4 days' stands, or of '3-4 days'."""
    for step, (token, _) in enumerate(read[place + 1 : place + 4], 1):
        if token.kind is Kind.NUMBER:
            between = " ".join(other.word for other, _ in read[place + 1 : place + step])
            if between in _LINKS or (not between and token.is_joined):
                return _end_of_range(read, place + step)
            break
    return place


def _introduced(read: Read) -> Iterator[Beside]:
    """Numbers with the content word before them, and the last word of grammar between."""
    last: tuple[Token, str] | None = None
    link = ""
    for token, found in read:
        if token.is_first or token.word in {"and", "or", "but"}:
            last = None
        if found is None:
            link = token.word
            continue
        is_number = token.kind is Kind.NUMBER and not token.is_free
        if is_number and last is not None and last[0].kind is not Kind.NUMBER:
            yield found.rstrip("."), last[1], link
        last, link = (token, found), ""


def _is_year(number: str) -> bool:
    return len(number) == 5 and "1000" <= number[1:] <= "2099"


def _changes_bounds(read: Read, sources: Sources) -> bool:
    """'Over 200' for 200 or 'up to 200', and 200 for either."""
    bounds: defaultdict[str, set[str]] = defaultdict(set)
    for part in sources.parts:
        for number, bound in _bounds(part):
            bounds[number].add(bound)
    return any(number in bounds and bound not in bounds[number] for number, bound in _bounds(read))


def _bounds(read: Read) -> Iterator[tuple[str, str]]:
    """Numbers with 'more', 'less' or nothing. What opens a range ('from 3 to 5') bounds nothing."""
    for place, (token, number) in enumerate(read):
        if token.kind is not Kind.NUMBER or number is None or token.is_free:
            continue
        before = [other.word for other, _ in read[max(0, place - 2) : place]]
        last = before[-1] if before else ""
        last = before[-2] if last == "than" and len(before) > 1 else last
        if last == "to" and before[:1] != ["up"]:
            last = ""
        is_more = last in MORE or (last == "more" and before[-1] == "than")
        yield number.rstrip("."), "more" if is_more else "less" if last in LESS else ""
