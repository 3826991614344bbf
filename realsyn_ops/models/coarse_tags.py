"""Coarse parts of speech without spaCy's attribute ruler, which spends a fifth of a parse on features nobody asks for.

The ruler sets a token's part of speech by rules on its tag, its word, its relation and the token before it. Tokens that
are alike in all that a rule names get the same answer, so the ruler itself is asked once for each kind of token.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from spacy.attrs import DEP, IS_SPACE, LOWER, TAG
from spacy.tokens import Doc

if TYPE_CHECKING:
    from spacy.pipeline import AttributeRuler

_KEYS = {"TAG": TAG, "LOWER": LOWER, "DEP": DEP, "IS_SPACE": IS_SPACE}
_SET = {"POS", "DEP", "TAG"}


class CoarseTags:
    """What a pipeline's attribute ruler makes of tokens, by kind of token."""

    columns = (*_KEYS.values(),)
    """The attributes that `lookup` wants of each token, in this order."""

    def __init__(self, ruler: "AttributeRuler", named: dict[tuple[str, int], set[int]]) -> None:
        self._ruler = ruler
        self._named = {place: np.array(sorted(values), np.uint64) for place, values in named.items()}
        self._known: dict[bytes, tuple[int, int]] = {}

    @classmethod
    def of(cls, ruler: "AttributeRuler") -> "CoarseTags | None":
        """None when a rule looks at more than these attributes of a token and of the one before it."""
        named: dict[tuple[str, int], set[int]] = {}
        for rule in ruler.patterns:
            if not _SET & set(rule["attrs"]):
                continue
            for specs in rule["patterns"]:
                index = rule["index"] % len(specs)
                for place, spec in enumerate(specs):
                    if place - index not in {-1, 0} or set(spec) - set(_KEYS):
                        return None
                    for key, condition in spec.items():
                        values = list(_strings(condition))
                        if None in values:
                            return None
                        named.setdefault((key, place - index), set()).update(
                            ruler.vocab.strings.add(value) for value in values if isinstance(value, str)
                        )
        return cls(ruler, named)

    def lookup(self, docs: list[Doc], tokens: np.ndarray, is_first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(pos, dep) of every token of the docs; ``tokens`` (n, 4) as ``columns`` says, ``is_first`` of its doc."""
        alike = self._alike(tokens, is_first)
        kinds, example, kind = np.unique(alike, axis=0, return_index=True, return_inverse=True)
        answers = np.zeros((len(kinds), 2), np.uint64)
        ends = np.cumsum([len(doc) for doc in docs])
        for row, (values, position) in enumerate(zip(kinds, example.tolist(), strict=True)):
            known = values.tobytes()
            if known not in self._known:
                number = int(np.searchsorted(ends, position, side="right"))
                doc = docs[number]
                self._known[known] = self._ask(doc, position - int(ends[number]) + len(doc))
            answers[row] = self._known[known]
        found = answers[kind.reshape(-1)]
        return found[:, 0], found[:, 1]

    def _alike(self, tokens: np.ndarray, is_first: np.ndarray) -> np.ndarray:
        """Tokens with every value that no rule names replaced by 0; tags, and relations of its own, stay."""
        parts = [tokens[:, 0], tokens[:, 2], tokens[:, 3]]
        before = np.vstack([np.zeros((1, tokens.shape[1]), np.uint64), tokens[:-1]])
        before[is_first] = 0
        for (key, place), values in sorted(self._named.items()):
            column = list(_KEYS).index(key)
            if place == 0 and key != "LOWER":
                continue
            of = before[:, column] if place else tokens[:, column]
            parts.append(of if key == "IS_SPACE" else np.where(np.isin(of, values), of, np.uint64(0)))
        return np.column_stack([*parts, is_first.astype(np.uint64)])

    def _ask(self, doc: Doc, i: int) -> tuple[int, int]:
        tokens = list(doc[max(0, i - 1) : i + 1])
        alone = Doc(
            doc.vocab,
            words=[token.text for token in tokens],
            tags=[token.tag_ for token in tokens],
            deps=[token.dep_ for token in tokens],
            heads=[0] * len(tokens),
        )
        token = self._ruler(alone)[-1]
        return token.pos, token.dep


def _strings(condition: Any) -> Iterator[Any]:
    """The values a condition names; a None among them for a condition of another kind."""
    if isinstance(condition, str | bool):
        yield condition
    elif isinstance(condition, dict) and set(condition) <= {"IN", "NOT_IN"}:
        for values in condition.values():
            yield from values
    else:
        yield None
