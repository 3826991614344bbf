from pathlib import Path

import pytest

from realsyn_ops.demo.packages import fetch
from realsyn_ops.demo.wordnet import Synset, read_nouns, sentence, with_article

DATA = """\
  1 This software and database is being provided to you, the LICENSEE | not a record
00000001 05 n 01 bird 0 003 ~ 00000002 n 0000 ~ 00000003 n 0000 #m 00000009 n 0000 | egg-laying vertebrate
00000002 05 n 02 corvine_bird 0 crow 0 002 @ 00000001 n 0000 ~ 00000004 n 0000 | a crow or its kin; "a crow cawed"
00000003 05 n 01 Owl 0 001 @ 00000001 n 0000 | nocturnal bird of prey with hawk-like beak
00000004 05 n 01 Grip 1 001 @i 00000002 n 0000 | a raven that belonged to Charles Dickens
00000009 13 n 01 bird 0 000 | the flesh of a bird used as food
"""
INDEX = """\
  1 This software and database is being provided to you, the LICENSEE
bird n 2 3 @ ~ #m 2 1 00000001 00000009
corvine_bird n 1 2 @ ~ 1 0 00000002
"""


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    (tmp_path / "data.noun").write_text(DATA, "latin-1")
    (tmp_path / "index.noun").write_text(INDEX, "latin-1")
    return tmp_path


def test_kinds_are_everything_below_the_named_sense_and_nothing_else(wordnet: Path) -> None:
    nouns = read_nouns(wordnet)
    birds = nouns.kinds(["bird.1"])
    assert [synset.lemmas for synset in birds] == [("bird",), ("corvine bird", "crow"), ("Owl",), ("Grip",)]
    assert [synset.offset for synset in nouns.kinds(["bird.2"])] == ["00000009"]
    assert [synset.is_instance for synset in birds] == [False, False, False, True]


@pytest.mark.parametrize(
    ("lemma", "gloss", "expected"),
    [
        (
            "magpie",
            "long-tailed black-and-white crow that utters a raucous chattering call",
            "A magpie is a long-tailed black-and-white crow that utters a raucous chattering call.",
        ),
        ("apple", 'fruit with red or yellow skin; "he ate an apple"', "An apple is a fruit with red or yellow skin."),
        ("hand tool", "a tool used with workers' hands", "A hand tool is a tool used with workers' hands."),
        ("bacon", "meat from the back and sides of a hog", "Bacon is meat from the back and sides of a hog."),
        ("drummer", "someone who plays a drum", "A drummer is someone who plays a drum."),
        ("thaw", "warm weather following a freeze", "Thaw is warm weather following a freeze."),
        (
            "seabird",
            "a bird that frequents coastal waters: gulls",
            "A seabird is a bird that frequents coastal waters.",
        ),
        (
            "comet",
            "(astronomy) a small frozen mass (of gas) that orbits the sun",
            "A comet is a small frozen mass that orbits the sun.",
        ),
        ("crow", "crow; raven; rook", None),
        ("rooks", "a bird of the crow family", None),
        ("sabot", "shoes made of one piece of wood", None),
        ("orchid", "similar to another orchid but smaller", None),
        ("Gouda", "cheese made in Holland since 1697", None),
    ],
)
def test_a_gloss_becomes_a_sentence_or_nothing(lemma: str, gloss: str, expected: str | None) -> None:
    assert sentence(Synset("0", (lemma,), gloss, (), False)) == expected


def test_a_single_thing_has_no_article() -> None:
    assert sentence(Synset("0", ("Venus",), "the second nearest planet to the sun", (), True)) == (
        "Venus is the second nearest planet to the sun."
    )


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("owl", "an owl"),
        ("unicorn", "a unicorn"),
        ("unintended act", "an unintended act"),
        ("ewe", "a ewe"),
        ("hourglass", "an hourglass"),
        ("horse", "a horse"),
        ("one-seater", "a one-seater"),
        ("onion", "an onion"),
        ("Asian elephant", "an Asian elephant"),
        ("umbrella", "an umbrella"),
    ],
)
def test_the_article_follows_the_sound(noun: str, expected: str) -> None:
    assert with_article(noun) == expected


def test_the_real_package_is_fetched_once_and_read(tmp_path: Path) -> None:
    folder = fetch(["wordnet-base"], tmp_path)["wordnet-base"]
    nouns = read_nouns(folder / "usr/share/wordnet")
    birds = {synset.lemmas[0]: sentence(synset) for synset in nouns.kinds(["bird.1"])}
    assert birds["magpie"] == "A magpie is a long-tailed black-and-white crow that utters a raucous chattering call."
    assert len([text for text in birds.values() if text]) > 500
    assert [path.name for path in tmp_path.iterdir()] == ["wordnet-base"]
    marker = folder / "kept"
    marker.touch()
    assert fetch(["wordnet-base"], tmp_path) == {"wordnet-base": folder}
    assert marker.exists()
