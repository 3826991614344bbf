"""What belongs to what in an answer: a thing to its owner, an attribute to its noun, words to their side of 'before'.

Each rule compares an answer with the part of the sources that its words come from.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice, pairwise, takewhile

from realsyn_ops.stages.synthesize.sources import Read, Sources, content
from realsyn_ops.stages.synthesize.vocabulary import ATTRIBUTES, ORDERED, PRONOUNS


def mixes_owners(read: Read, sources: Sources) -> bool:
    """A thing given to another owner of its part than the 's there gives it to; 'the ... of' may say the same."""
    owned = [(thing, owner) for owner, thing in _owned(read)]
    for part in (sources.realistic, sources.caption) if owned else ():
        owners: defaultdict[str, set[str]] = defaultdict(set)
        for place, (token, found) in enumerate(part):
            if token.is_owner and found is not None:
                for thing in _run(part, place):
                    owners[thing].add(found)
        others = {
            left: set(content(part[place + 2 : place + 6]))
            for place, ((_, left), (token, _)) in enumerate(pairwise(part))
            if token.word == "of" and left is not None
        }
        words = set(content(part))
        for thing, owner in owned:
            if owners[thing] and owner in words and owner not in owners[thing] | others.get(thing, set()):
                return True
    return False


def _owned(read: Read) -> Iterator[tuple[str, str]]:
    """Owners with the first word of what they own."""
    for place, (token, found) in enumerate(read):
        if token.is_owner and found is not None:
            for thing in islice(_run(read, place), 1):
                yield found, thing


def mixes_attributes(read: Read, sources: Sources) -> bool:
    """An attribute given to a noun of its own part that has it not there."""
    parts = [(set(content(part)), _described(part)) for part in (sources.realistic, sources.caption)]
    for attribute, nouns in _described(read).items():
        there = [(words, of[attribute]) for words, of in parts if of.get(attribute)]
        is_new = not any(nouns & described for _, described in there)
        if is_new and any(nouns & words for words, _ in there):
            return True
    return False


def _described(read: Read) -> dict[str, set[str]]:
    """Attribute -> content words right behind it."""
    found: dict[str, set[str]] = {}
    for place, (token, word) in enumerate(read):
        if word is not None and token.word in ATTRIBUTES:
            found.setdefault(word, set()).update(_run(read, place))
    return found


def mixes_sides(read: Read, sources: Sources) -> bool:
    """What comes before comes after: the words on one side of 'before', 'because' or 'than' on its other one."""
    original = [sides for sides in _sides(sources.realistic) if sides[2]]
    for word, left, right in _sides(read):
        there = [(befores, afters) for other, befores, afters in original if other == word]
        if right and there and all(right[0] in befores and right[0] not in afters for befores, afters in there):
            return True
        if left and there and all(left[-1] in afters and left[-1] not in befores for befores, afters in there):
            return True
    return False


def _sides(read: Read) -> Iterator[tuple[str, list[str], list[str]]]:
    """Per such word the content words of the text before it and, up to the end of the clause, behind it."""
    for place, (token, _) in enumerate(read):
        if token.word in ORDERED:
            behind = takewhile(lambda pair: not pair[0].is_first, read[place + 1 :])
            yield token.word, content(read[:place]), content(list(behind))


def mixes_pronouns(read: Read, sources: Sources) -> bool:
    """She where the sources only have he, or the other way round."""
    said, known = ({token.word for token, _ in some} for some in (read, chain(*sources.parts)))
    return any(said & PRONOUNS[one] and not known & PRONOUNS[one] and known & PRONOUNS[1 - one] for one in (0, 1))


def _run(read: Read, place: int) -> Iterator[str]:
    """The next words up to the first one of grammar or the end of the clause, three at most."""
    for token, found in read[place + 1 : place + 4]:
        if token.is_first or found is None:
            return
        yield found
