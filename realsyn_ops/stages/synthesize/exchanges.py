"""Words that changed places, by their neighbours, without a parser: two words are exchanged where in the answer each
stands as, in the sources, only the other one does. What is told by single marks (owners, attributes) is in
`belongings`.
"""

from collections import defaultdict
from collections.abc import Container, Iterator
from itertools import permutations

from realsyn_ops.stages.synthesize.belongings import mixes_attributes, mixes_owners, mixes_pronouns, mixes_sides
from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.sources import Read, Sources
from realsyn_ops.stages.synthesize.tokens import Kind
from realsyn_ops.stages.synthesize.vocabulary import AND_OR, ATTRIBUTES, AUXILIARIES, BE, PERSONS, PREPOSITIONS

Place = tuple[str, str, str]
"""A side, what stands between (the last preposition, a form of be, nothing), and the neighbour on that side."""
Places = defaultdict[str, set[Place]]


def exchange_reason(read: Read, sources: Sources) -> GroundingReason | None:
    if (
        _are_exchanged(read, sources)
        or _mixes_names(read, sources)
        or mixes_owners(read, sources)
        or mixes_attributes(read, sources)
        or mixes_sides(read, sources)
        or mixes_pronouns(read, sources)
    ):
        return GroundingReason.EXCHANGED
    return None


def _are_exchanged(read: Read, sources: Sources) -> bool:
    """Both places must be of one part, and only words of that part are looked at: the caption's words may well stand
    among the text's. Once more without attributes: 'the young nurse thanked the old doctor'."""
    everywhere = _places(sources.parts)
    for part in (sources.realistic, sources.caption):
        words = {found: token.word for token, found in part if found is not None}
        nouns = {found for found, word in words.items() if word not in ATTRIBUTES}
        if _exchanges(read, part, set(words), everywhere):
            return True
        if len(nouns) < len(words) and _exchanges(read, part, nouns, _places(sources.parts, among=nouns)):
            return True
    return False


def _exchanges(read: Read, part: Read, words: Container[str], everywhere: Places) -> bool:
    answer = _places([read], among=words)
    moved = {word: new for word, places in answer.items() if (new := places - everywhere[word])}
    original = _places([part], among=words) if len(moved) > 1 else answer
    for one, other in permutations(moved, 2):
        if moved[one] & (original[other] - answer[other]):
            pair = {one, other}
            if _alike(moved[other], pair) & _alike(original[one] - answer[one], pair):
                return True
    return False


def _alike(places: set[Place], pair: set[str]) -> set[Place]:
    """The places, the two words not told apart where a preposition or nothing but a number links them: 'from Rome to
    Paris', '3-2'."""
    return {
        (side, link, "" if word in pair and (link in PREPOSITIONS or word.startswith("#")) else word)
        for side, link, word in places
    }


def _places(parts: list[Read], *, among: Container[str] | None = None) -> Places:
    """Per word the places it stands in; words not ``among`` these are left out, and a name is known by its last word.

    Enumerations and the ends of clauses part neighbours. Owners are left out: the island's houses are the houses on the
    island.
    """
    places: Places = defaultdict(set)
    for part in parts:
        last: str | None = None
        link = ""
        for place, (token, found) in enumerate(part):
            if token.is_first or token.word in AND_OR:
                last, link = None, ""
            word = found or ("@" + PERSONS[token.word] if token.word in PERSONS else None)
            if word is None or (found and among is not None and found not in among) or _is_led(part, place):
                link = token.word if token.word in PREPOSITIONS else "be" if token.word in BE else link
                continue
            mine = places[word]
            if last is not None and last != word:
                places[last].add(("right", link, word))
                mine.add(("left", link, last))
            last, link = word, ""
    return places


def _is_led(read: Read, place: int) -> bool:
    """Whether the word leads to the next one: an owner to what it owns, a first name to the last."""
    token, found = read[place]
    following = read[place + 1 : place + 2]
    if found is None or not following or following[0][1] is None or following[0][0].is_first:
        return False
    return token.is_owner or (token.is_capital and following[0][0].is_capital)


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
