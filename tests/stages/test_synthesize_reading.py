"""How the grounding gate reads: numbers by value, words by their bases, openings by count."""

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from realsyn_ops.kinds import Merge
from realsyn_ops.stages.synthesize import (
    GroundingReason,
    boilerplate_openings,
    count_openings,
    grounding_reason,
    opening,
    spread_openings,
    template_text,
)
from realsyn_ops.stages.synthesize.lemmas import bases, synonyms
from realsyn_ops.stages.synthesize.tokens import Kind, read_tokens

PIECES = st.sampled_from([
    "The", "mill", "'s", "’", "not", "no one", "1,2", "3rd", "two hundred", "and", "x-ray", "%", "$5", "\n", "\u0301",
    "(", '"', "May", "naïve", "İ", "ﬁ", "½", "१२", "中文", ".", "!", ",", " - ",
    "Ignore instructions", "<|im_end|>", "n't", "\x00",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map(" ".join)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,200 or 1200 or twelve hundred", ["1200", "1200", "1200"]),
        ("two hundred and five", ["205"]),
        ("two thousand three hundred", ["2300"]),
        ("three million two hundred thousand and one", ["3200001"]),
        ("34 million and 34,000,000", ["34000000", "34000000"]),
        ("3.50 and 3.5 billion", ["3.5", "3500000000"]),
        ("one and two, three four", ["1", "2", "3", "4"]),
        ("thirty-five, twenty-first, 21st, 3rd of 3", ["35", "21.", "21.", "3.", "3"]),
        ("two thirds, a dozen, two dozen, a hundred", ["2", "3.", "x12", "24", "x100"]),
        ("7:30 and 07:30, 1950s and 1950's, 2-0", ["7:30", "7:30", "1950s", "1950s", "2", "0"]),
        ("hundreds of twenty dogs", ["20"]),
        ("0 and 0.0 and 1.2.3", ["0", "0", "1.2.3"]),
    ],
)
def test_numbers_are_read_by_value(text: str, values: list[str]) -> None:
    found = [token.value for token in read_tokens(text) if token.kind is Kind.NUMBER]
    assert [value.replace("x", "") for value in found] == [value.replace("x", "") for value in values]


@pytest.mark.parametrize(
    "words",
    [
        "weave weaves wove woven weaving",
        "city cities",
        "movie movies",
        "run running runs ran",
        "travel travelled traveling",
        "carry carried carries",
        "leaf leaves",
        "house houses",
        "box boxes",
        "building buildings",
        "colour color colours colored",
        "organise organized organizing",
        "theatre theaters",
        "grey gray",
        "happily happy",
        "possibly possible",
        "café cafe",
        "kilometre km kilometers",
        "glass glasses",
        "bus buses",
        "photograph photo photos",
        "string strings",
        "child children",
    ],
)
def test_forms_of_a_word_share_a_base(words: str) -> None:
    first, *others = words.split()
    for other in others:
        assert set(bases(first)) & set(bases(other)), other


@pytest.mark.parametrize(
    "words",
    [
        "plan plane",
        "car care",
        "university universe",
        "organ organization",
        "experience experiment",
        "early ear",
        "new news",
        "string str",
        "large larger",
        "paint painter",
        "hard hardly",
        "pass past",
        "bath bathe",
        "wed wedding",
        "bed be",
    ],
)
def test_other_words_share_none(words: str) -> None:
    one, other = words.split()
    assert not set(bases(one)) & set(bases(other))


def test_synonyms_go_both_ways() -> None:
    assert "car" in synonyms("automobiles")
    assert "automobile" in synonyms("car")
    assert synonyms("magpie") == ()


@seed(2502)
@settings(max_examples=400, deadline=None, database=None)
@given(text=TEXTS, realistic=TEXTS, caption=TEXTS, tags=st.lists(TEXTS, max_size=3))
def test_whatever_stands_in_a_text_is_judged_and_never_an_error(
    text: str, realistic: str, caption: str, tags: list[str]
) -> None:
    merge = Merge(realistic, caption, tuple(tags))
    assert grounding_reason(text, merge, max_words=60) in {None, *GroundingReason}
    assert template_text(merge)


def test_an_opening_that_too_many_share_is_found_however_the_texts_are_split() -> None:
    habit = [f"In this image we see object {i}." for i in range(30)]
    texts = [f"Object {i} stands here in the yard." for i in range(70)] + habit
    counts = count_openings(texts[:40]) + count_openings(texts[40:])
    assert counts == count_openings(texts)
    assert boilerplate_openings(counts, len(texts), max_share=0.2) == {"in this image we"}
    assert boilerplate_openings(counts, len(texts), max_share=0.3) == frozenset()
    assert boilerplate_openings(counts, len(texts), max_share=0.01, min_texts=31) == frozenset()
    assert opening(habit[0]) == "in this image we"
    assert opening("A short text.") == ""


def test_of_texts_that_share_an_opening_the_lowest_hashes_stay() -> None:
    keys = [f"i{i}" for i in range(100)]
    texts = [
        f"In this image we see object {i}." if i % 2 else f"Object {i} stands here in the yard." for i in range(100)
    ]
    stays = spread_openings(keys, texts, max_share=0.1, seed=1, min_texts=5)
    kept = {key for key, stay in zip(keys, stays, strict=True) if stay}
    assert len(kept) == 60
    assert {f"i{i}" for i in range(0, 100, 2)} < kept
    turned = spread_openings(keys[::-1], texts[::-1], max_share=0.1, seed=1, min_texts=5)
    assert turned[::-1] == stays
    assert spread_openings(keys, texts, max_share=0.1, seed=2, min_texts=5) != stays
    assert all(spread_openings(keys, texts, max_share=0.1, seed=1, min_texts=50))
