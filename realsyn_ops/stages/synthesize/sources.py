"""What an answer may be made of: the words and numbers of the realistic text, the caption and the tags.

A word is known by an *id*: words that share a base have one. What the words say of one another is in `counts`,
`denials` and `exchanges`.
"""

from itertools import pairwise

from realsyn_ops.kinds import Merge
from realsyn_ops.stages.synthesize.instructions import without_instructions
from realsyn_ops.stages.synthesize.lemmas import bases, synonyms
from realsyn_ops.stages.synthesize.tokens import Kind, Token, read_tokens
from realsyn_ops.stages.synthesize.vocabulary import LIGHT, MONTHS, OPPOSITES

Read = list[tuple[Token, str | None]]
"""Tokens with their ids; None for words of grammar, negations, and words that stand in no source."""


class Sources:
    """The merge's three parts, read. Sentences that address a model are no part of them."""

    def __init__(self, merge: Merge) -> None:
        realistic_text = without_instructions(merge.realistic_text)
        self.text = " ".join((realistic_text, merge.caption, *merge.tags))
        self._ids: dict[str, str] = {}
        self._joined: dict[str, str] = {}
        self._grammar: set[str] = set()
        self.values: set[str] = set()
        self.realistic = self._read(realistic_text)
        self.caption = self._read(merge.caption)
        self.tags = [self._read(tag) for tag in merge.tags]
        self.parts = [self.realistic, self.caption, *self.tags]

    def find(self, text: str) -> tuple[Read, list[Token], int]:
        """An answer with its words' ids, the tokens that have no source, and how many words are synonyms."""
        tokens = read_tokens(text)
        read: Read = []
        unknown: list[Token] = []
        n_synonyms = 0
        for place, token in enumerate(tokens):
            found = None
            if token.kind is Kind.NUMBER:
                found = f"#{token.value.removeprefix('x')}"
                if not (token.is_free or found in self.values):
                    unknown.append(token)
            elif token.kind is Kind.CONTENT:
                found = self._known(token.word) or self._compound(tokens, place)
                if found is None:
                    found = self._stand_in(token.word)
                    n_synonyms += found is not None
                if found is None:
                    unknown.append(token)
            elif OPPOSITES.get(token.word) in self._grammar and token.word not in self._grammar:
                unknown.append(token)
            read.append((token, found))
        return read, unknown, n_synonyms

    def _known(self, word: str) -> str | None:
        return next((self._ids[base] for base in bases(word) if base in self._ids), None)

    def _stand_in(self, word: str) -> str | None:
        """The id of a synonym that a source has; a verb that says next to nothing stands for itself."""
        if (found := next((self._ids[other] for other in synonyms(word) if other in self._ids), None)) is not None:
            return found
        return next((base for base in bases(word) if base in LIGHT), None)

    def _compound(self, tokens: list[Token], place: int) -> str | None:
        """A word that a source writes as two ('homemade'), or half of one that a source writes as one."""
        if (found := self._joined.get(tokens[place].word)) is not None:
            return found
        for left in (place - 1, place):
            pair = tokens[left : left + 2] if left >= 0 else []
            if len(pair) == 2 and (found := self._known(pair[0].word + pair[1].word)) is not None:
                return found
        return None

    def _read(self, text: str) -> Read:
        read = [(token, self._learn(token)) for token in read_tokens(text)]
        for (left, first), (right, second) in pairwise(read):
            if first is not None and (right.is_joined or (second is not None and not right.is_first)):
                self._joined[left.word + right.word] = second or first
            self._learn_date(left, right)
        return read

    def _learn(self, token: Token) -> str | None:
        if token.kind is Kind.NUMBER:
            self.values.add(found := f"#{token.value.removeprefix('x')}")
            return found
        if token.kind is not Kind.CONTENT:
            self._grammar.add(token.word)
            return None
        found = self._known(token.word) or token.word
        for base in bases(token.word):
            self._ids.setdefault(base, found)
        return found

    def _learn_date(self, left: Token, right: Token) -> None:
        """The day beside a month is the same with and without its ordinal ending."""
        for day, month in ((left, right), (right, left)):
            if day.kind is Kind.NUMBER and month.word in MONTHS:
                self.values.add(f"#{day.value.removesuffix('.')}")
                self.values.add(f"#{day.value.removesuffix('.')}.")


def content(read: Read) -> list[str]:
    """Ids of the words and numbers, in order."""
    return [found for _, found in read if found is not None]
