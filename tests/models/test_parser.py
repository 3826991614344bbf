"""Relations of objects and actions, as the sentence filters ask for them."""

from pathlib import Path

import numpy as np
import pytest
import spacy

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Parser
from realsyn_ops.models.coarse_tags import CoarseTags
from realsyn_ops.models.distinct_words import embed_distinct_words
from realsyn_ops.models.load import load_parser
from realsyn_ops.models.parser import SpacyParser, demo_pipeline

CASES = [
    ("A black dog chases the red ball.", True, 1),
    ("The boat that he built sank and burned.", True, 3),
    ("Dogs often chase cats.", True, 1),
    ("It is raining.", True, 1),
    ("A bird of prey with large wings.", True, 0),
    ("The sky is blue.", True, 0),
    ("Oh no!", False, 0),
    ("Slowly and quietly.", False, 0),
    ("Run!", False, 1),
    ("", False, 0),
]


@pytest.fixture(scope="module")
def parser() -> Parser:
    return load_parser("demo", device="cpu", threads=1, models_path=Path())


@pytest.mark.parametrize(("text", "has_relation", "n_actions"), CASES)
def test_a_sentence_has_its_relations_and_actions(
    parser: Parser, text: str, has_relation: bool, n_actions: int
) -> None:
    [parse] = parser.parse([text])
    assert (parse.n_relations > 0, parse.n_actions) == (has_relation, n_actions)


def test_relations_are_those_of_the_richest_object(parser: Parser) -> None:
    plain, rich = parser.parse(["A dog sleeps.", "A small brown dog with long ears, which we found, sleeps."])
    assert plain.n_relations == 1
    assert rich.n_relations >= 4


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("The crested ibis is a bird.", ["bird", "crested ibis", "ibis"]),
        ("It is a small brown mammal.", ["brown mammal", "mammal", "small brown mammal"]),
        ("We saw several other garden gnomes.", ["garden", "garden gnomes", "gnomes"]),
        ("A web-footed bird swims.", ["bird"]),
        ("In 1914 he met Mary Smith in Paris.", []),
        ("", []),
    ],
)
def test_noun_phrases_end_in_a_common_noun_and_start_with_what_describes_it(
    parser: Parser, text: str, phrases: list[str]
) -> None:
    assert parser.noun_phrases([text]) == [phrases]


def test_noun_phrases_do_not_depend_on_the_texts_beside(parser: Parser) -> None:
    texts = [text for text, _, _ in CASES] * 20
    assert parser.noun_phrases(texts) == [parser.noun_phrases([text])[0] for text in texts]


def test_answers_follow_the_order_of_the_texts(parser: Parser) -> None:
    texts = [text for text, _, _ in CASES] * 10
    assert parser.parse(texts)[::-1] == parser.parse(texts[::-1])


VARIED = [
    "There is a house by the lake, and there's a boat in it.",
    "What she wants is what they'd been given, isn't it?",
    "You can't have been waiting to be seen, could you?",
    "The GIMP's \"Save As...\" dialog lets you choose a file's name (see Fig. 3).",
    "Photographers like to do what others do not do.",
    "Having been told, he got better at getting it.",
    "Who are those people, and which of them are being followed?",
    "Fish fish fish, and that is that.",
    "Save as PNG or JPEG; don't use BMP - it's huge.",
    "Their having to be there is what matters.",
]


def test_parts_of_speech_and_relations_are_those_of_the_whole_pipeline(parser: SpacyParser) -> None:
    """Neither the ruler's short cut nor the shared embeddings may change a token."""
    whole = spacy.load(demo_pipeline()[1])
    assert "attribute_ruler" not in parser._pipeline.pipe_names
    assert parser._pipeline.get_pipe("tok2vec").model.layers[0].name == "embed_distinct_words"
    texts = [*VARIED, *(text for text, _, _ in CASES if text)]
    for text, doc in zip(texts, parser._pipeline.pipe(texts), strict=True):
        expected = whole(text)
        _, pos, deps = parser._annotations([doc], np.array([0]))
        named = [(whole.vocab.strings[int(p)], whole.vocab.strings[int(d)]) for p, d in zip(pos, deps, strict=True)]
        assert named == [(token.pos_, token.dep_) for token in expected]
        assert np.array_equal(doc.tensor, expected.tensor)


def test_a_parse_does_not_depend_on_company(parser: SpacyParser) -> None:
    texts = [*VARIED, *(text for text, _, _ in CASES)]
    together = parser.parse([*VARIED * 20, *texts])[-len(texts) :]
    assert [parser.parse([text])[0] for text in texts] == together


def test_a_ruler_that_looks_further_is_asked_itself() -> None:
    ruler = spacy.load(demo_pipeline()[1]).get_pipe("attribute_ruler")
    assert CoarseTags.of(ruler)
    ruler.add([[{"LOWER": {"REGEX": "^re"}}]], {"POS": "VERB"})
    assert CoarseTags.of(ruler) is None
    ruler = spacy.load(demo_pipeline()[1]).get_pipe("attribute_ruler")
    ruler.add([[{"TAG": "TO"}, {"TAG": "NN"}]], {"POS": "VERB"}, index=0)
    assert CoarseTags.of(ruler) is None


def test_another_embedding_is_left_as_it_is() -> None:
    model = spacy.load(demo_pipeline()[1]).get_pipe("tok2vec").model
    assert embed_distinct_words(model)
    assert not embed_distinct_words(model)


def test_a_missing_pipeline_is_named() -> None:
    with pytest.raises(PermanentError, match="no_such_pipeline"):
        load_parser("spacy:no_such_pipeline", device="cpu", threads=1, models_path=Path())
