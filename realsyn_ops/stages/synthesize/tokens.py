"""A text as the grounding gate reads it: words, numbers by value, negations and doubts, and where clauses break."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from realsyn_ops.stages.synthesize.lemmas import bases
from realsyn_ops.stages.synthesize.numbers import read_digits, read_run, read_word
from realsyn_ops.stages.synthesize.vocabulary import DOUBT_VERBS, DOUBTS, GRAMMAR, HEDGES, NEGATIONS

_TOKEN = re.compile(
    r"(?P<money>[$€£¥])?(?P<digits>\d+(?:[.,:]\d+)*(?:(?:st|nd|rd|th|['’]?s)(?![^\W\d_]))?)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)|(?P<percent>%)|(?P<dash>\s[-–]+\s|—|--)|(?P<mark>[^\w\s])"
)
_MONEY = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_NO_BREAK = frozenset("-–/'’`&+#*\"“”‘")
_PER_CENT = re.compile(r"\bper cent\b", re.IGNORECASE)
_NO_ONE = re.compile(r"\bno one\b", re.IGNORECASE)


class Kind(Enum):
    CONTENT = "content"
    GRAMMAR = "grammar"
    NUMBER = "number"
    NEGATION = "negation"


@dataclass(slots=True, eq=False)
class Token:
    """``word``: lower case, without a possessive ending (``is_owner`` tells); ``value``: a number's, else empty;
    ``is_first``: a mark that ends a clause stands before it, or nothing; ``is_joined``: only a hyphen does."""

    word: str
    kind: Kind
    value: str = ""
    is_first: bool = False
    is_joined: bool = False
    is_capital: bool = False
    is_owner: bool = False
    is_doubt: bool = False
    is_free: bool = False
    """Needs no source: 'one', which may be no number."""


def read_tokens(text: str) -> list[Token]:
    """The tokens in order. Number words are combined: 'two hundred and five' is one token."""
    text = _NO_ONE.sub("nobody", _PER_CENT.sub("percent", text))
    tokens: list[Token] = []
    is_first, is_joined, end = True, False, -1
    for match in _TOKEN.finditer(text):
        group = match.lastgroup
        if group in {"mark", "dash"}:
            is_joined = match[0] in "-/" and match.start() == end
            is_first = is_first or match[0] not in _NO_BREAK
            end = match.end()
            continue
        is_joined = is_joined and match.start() == end
        if group == "word":
            word, kind, value, is_owner, is_doubt, is_free = _entry(match[0])
            is_capital = match[0][0].isupper()
            token = Token(word, kind, value, is_first, is_joined, is_capital, is_owner, is_doubt, is_free)
        elif group == "digits":
            token = Token(match["digits"], Kind.NUMBER, read_digits(match["digits"]), is_first, is_joined)
        else:
            token = Token("percent", Kind.CONTENT, "", is_first, is_joined)
        if tokens:
            _refine(tokens[-1], token)
        tokens.append(token)
        if group == "digits" and match["money"]:
            tokens.append(Token(_MONEY[match["money"]], Kind.CONTENT))
        is_first, is_joined, end = False, False, match.end()
    return _combined(tokens)


@lru_cache(maxsize=2**16)
def _entry(text: str) -> tuple[str, Kind, str, bool, bool, bool]:
    """Word, kind, value, whether it is an owner, expresses doubt, is free: what a word is wherever it stands."""
    word = text.lower().replace("’", "'")
    if word.endswith("n't") or word in NEGATIONS:
        return word, Kind.NEGATION, "", False, False, False
    bare = word.removesuffix("'s").removesuffix("'")
    if value := read_word(bare):
        return bare, Kind.NUMBER, value, False, False, bare == "one"
    is_doubt = (word in DOUBTS and text != "May") or not DOUBT_VERBS.isdisjoint(bases(bare))
    head = bare.split("'", 1)[0]
    if word in GRAMMAR or head in GRAMMAR:
        return (word if word in GRAMMAR else head), Kind.GRAMMAR, "", False, is_doubt, False
    return bare, Kind.CONTENT, "", bare != word, is_doubt, False


def _refine(last: Token, token: Token) -> None:
    """What a word is beside another: 9 am, thought to be, could be."""
    if token.word == "am" and last.kind is Kind.NUMBER:
        token.kind = Kind.CONTENT
    if (token.word == "to" and last.word in HEDGES) or (last.word == "could" and token.word in {"be", "have"}):
        last.is_doubt = True


def _combined(tokens: list[Token]) -> list[Token]:
    """Neighbouring number words as one number, with an 'and' after hundreds."""
    if not any(token.kind is Kind.NUMBER for token in tokens):
        return tokens
    found: list[Token] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        found.append(token)
        place += 1
        if token.kind is not Kind.NUMBER or not _is_plain(token):
            continue
        run = _run(tokens, place)
        token.value, n_taken = read_run([token.value, *(other.value for other in run)], is_spelled=token.word.isalpha())
        token.is_free = token.is_free and n_taken == 1
        place = tokens.index(run[n_taken - 2], place) + 1 if n_taken > 1 else place
    return found


def _run(tokens: list[Token], place: int) -> list[Token]:
    """The number words that follow without a break; 'and' may stand after a scale."""
    run: list[Token] = []
    while place < len(tokens):
        is_and = tokens[place].word == "and" and tokens[place - 1].value.startswith("x") and place + 1 < len(tokens)
        other = tokens[place + is_and]
        if other.kind is not Kind.NUMBER or other.is_first or not other.word.isalpha():
            break
        run.append(other)
        place += 1 + is_and
    return run


def _is_plain(token: Token) -> bool:
    return token.value.strip("x.").replace(".", "", 1).isdecimal()
