"""Words that changed places: who did it, whose it is, what is red. By neighbours, without a parser.

Two words are exchanged where in the answer each stands as, in the sources, only the other one does.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, permutations, takewhile

from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.sources import Read, Sources, content
from realsyn_ops.stages.synthesize.tokens import Kind
from realsyn_ops.stages.synthesize.vocabulary import (
    AND_OR,
    ATTRIBUTES,
    AUXILIARIES,
    ORDERED,
    PERSONS,
    PREPOSITIONS,
    PRONOUNS,
)

Place = tuple[str, str, str]
"""A side, the preposition between or none, and the neighbour on that side."""
Places = defaultdict[str, set[Place]]


def exchange_reason(read: Read, sources: Sources) -> GroundingReason | None:
    if (
        _are_exchanged(read, sources)
        or _mixes_names(read, sources)
        or _mixes_owners(read, sources)
        or _mixes_attributes(read, sources)
        or _mixes_sides(read, sources)
        or _mixes_pronouns(read, sources)
    ):
        return GroundingReason.EXCHANGED
    return None


def _are_exchanged(read: Read, sources: Sources) -> bool:
    """Both places must be of one part: the caption's words may well take places of the text's."""
    answer, everywhere = _places([read]), _places(sources.parts)
    moved = {word: new for word, places in answer.items() if word in everywhere and (new := places - everywhere[word])}
    if len(moved) < 2:
        return False
    for part in (sources.realistic, sources.caption):
        original = _places([part])
        for word, other in permutations(moved, 2):
            mine, others = original.get(word, set()) - answer[word], original.get(other, set()) - answer[other]
            if moved[word] & others and moved[other] & mine:
                return True
    return False


def _places(parts: list[Read]) -> Places:
    """Per word the places it stands in. Enumerations and the ends of clauses part neighbours; owners are left out, the
    island's houses are the houses on the island."""
    places: Places = defaultdict(set)
    for part in parts:
        last: str | None = None
        link = ""
        for token, found in part:
            if token.is_first or token.word in AND_OR:
                last, link = None, ""
            word = found or ("@" + PERSONS[token.word] if token.word in PERSONS else None)
            if word is None or token.is_owner:
                link = token.word if token.word in PREPOSITIONS else link
                continue
            if last is not None and last != word:
                places[last].add(("right", link, word))
                places[word].add(("left", link, last))
            last, link = word, ""
    return places


def _mixes_names(read: Read, sources: Sources) -> bool:
    """A first name with another's family name, or a name with what another one does."""
    for is_name in (True, False):
        pairs = {pair for part in sources.parts for pair in _name_pairs(part, is_name=is_name)}
        firsts, lasts = {first for first, _ in pairs}, {last for _, last in pairs}
        if any(p not in pairs and p[0] in firsts and p[1] in lasts for p in _name_pairs(read, is_name=is_name)):
            return True
    return False


def _name_pairs(read: Read, *, is_name: bool) -> Iterator[tuple[str, str]]:
    """Names with the name right behind, or with the next other word, auxiliary verbs and negations between."""
    for place, (name, found) in enumerate(read):
        if not name.is_capital or name.is_owner or found is None:
            continue
        for other, word in read[place + 1 :]:
            if other.is_first or (word is not None and other.is_capital != is_name):
                break
            if word is not None:
                yield found, word
                break
            if is_name or (other.kind is not Kind.NEGATION and other.word not in AUXILIARIES):
                break


def _mixes_owners(read: Read, sources: Sources) -> bool:
    """A thing given to another owner than a source's 's gives it to; 'the ... of' may say the same."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    others: defaultdict[str, set[str]] = defaultdict(set)
    for part in sources.parts:
        for place, (token, found) in enumerate(part):
            if token.is_owner and found is not None:
                for thing in _run(part, place):
                    owners[thing].add(found)
            if token.word == "of" and place and (owned := part[place - 1][1]) is not None:
                others[owned].update(content(part[place + 1 : place + 5]))
    for place, (token, found) in enumerate(read):
        if token.is_owner and found is not None:
            thing = next(iter(_run(read, place)), "")
            if owners[thing] and found not in owners[thing] | others[thing]:
                return True
    return False


def _mixes_attributes(read: Read, sources: Sources) -> bool:
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


def _mixes_sides(read: Read, sources: Sources) -> bool:
    """What comes before comes after: the words on one side of 'before', 'because' or 'than' on its other one."""
    original = list(_sides(sources.realistic))
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


def _mixes_pronouns(read: Read, sources: Sources) -> bool:
    """She where the sources only have he, or the other way round."""
    said, known = ({token.word for token, _ in some} for some in (read, chain(*sources.parts)))
    return any(said & PRONOUNS[one] and not known & PRONOUNS[one] and known & PRONOUNS[1 - one] for one in (0, 1))


def _run(read: Read, place: int) -> Iterator[str]:
    """The next words up to the first one of grammar or the end of the clause, three at most."""
    for token, found in read[place + 1 : place + 4]:
        if token.is_first or found is None:
            return
        yield found
