"""Relations of objects and actions, as the sentence filters ask for them."""

from pathlib import Path

import pytest

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Parser
from realsyn_ops.models.load import load_parser

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


def test_answers_follow_the_order_of_the_texts(parser: Parser) -> None:
    texts = [text for text, _, _ in CASES] * 10
    assert parser.parse(texts)[::-1] == parser.parse(texts[::-1])


def test_a_missing_pipeline_is_named() -> None:
    with pytest.raises(PermanentError, match="no_such_pipeline"):
        load_parser("spacy:no_such_pipeline", device="cpu", threads=1, models_path=Path())
