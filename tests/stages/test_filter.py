"""The quality and semantic rules, each at its limits."""

import math
import sys

import pytest
import regex

from realsyn_ops.records import Reason
from realsyn_ops.stages.filter import (
    count_words,
    entropy,
    entropy_reason,
    image_reason,
    language_reason,
    parse_reason,
    perplexity_reason,
    sentence_text_reason,
    word_tokens,
)


@pytest.mark.parametrize(
    ("width", "height", "broken"),
    [
        (100, 100, None),
        (100, 300, None),
        (300, 100, None),
        (99, 300, (Reason.IMAGE_TOO_SMALL, 99.0)),
        (2_000, 99, (Reason.IMAGE_TOO_SMALL, 99.0)),
        (100, 301, (Reason.IMAGE_ASPECT, 3.01)),
        (400, 100, (Reason.IMAGE_ASPECT, 4.0)),
        (0, 0, (Reason.IMAGE_TOO_SMALL, 0.0)),
    ],
)
def test_an_image_is_large_and_square_enough(width: int, height: int, broken: object) -> None:
    assert image_reason(width, height, min_side_px=100, max_aspect=3.0) == broken


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("A bird sits there.", None),
        ("Two words", (Reason.TOO_FEW_WORDS, 2.0)),
        ("a - b", (Reason.TOO_FEW_WORDS, 2.0)),
        ("word " * 81, None),
        ("word " * 82, (Reason.TOO_MANY_WORDS, 82.0)),
        ("What a day 😀 it was 🎉!", (Reason.EMOJI, 2.0)),
        ("I ❤️ this very much.", (Reason.EMOJI, 1.0)),
        ("Press 1️⃣ to go on.", (Reason.EMOJI, 1.0)),
        ("Team 🇩🇪 has won it.", (Reason.EMOJI, 2.0)),
        ("I liked it ☺ very much.", (Reason.EMOJI, 1.0)),
        ("Bees ♀ and ♂, #1 and *2, © ® ™ and 100 → 200.", None),
        ("The sun \u2600\ufe0e as plain text.", None),
        ("See https://example.org for more.", (Reason.URL, 1.0)),
        ("See www.example.org or HTTP://x.y now.", (Reason.URL, 2.0)),
        ("Look at example.org/about for more.", (Reason.URL, 1.0)),
        ("Write to mailto:a@example.org today please.", (Reason.URL, 1.0)),
        ("Take cats and/or dogs, e.g. at 3.5/4 speed.", None),
        ("The end of it.Next one starts here.", None),
        ("The file: it is there.", None),
        ("😀 www.x.org", (Reason.EMOJI, 1.0)),
    ],
)
def test_a_sentence_has_words_and_neither_emoji_nor_urls(text: str, broken: object) -> None:
    assert sentence_text_reason(text, min_words=3, max_words=81) == broken


def test_every_character_that_unicode_shows_as_emoji_is_one() -> None:
    shown = regex.compile(r"\p{Emoji_Presentation}")
    missed = [
        chr(code)
        for code in range(0x80, sys.maxunicode + 1)
        if shown.match(chr(code)) and sentence_text_reason(chr(code), min_words=0, max_words=9) is None
    ]
    assert missed == []


def test_no_letter_or_digit_is_an_emoji() -> None:
    letters = "".join(c for c in map(chr, range(sys.maxunicode + 1)) if c.isalnum())
    assert sentence_text_reason(letters, min_words=0, max_words=9) is None


@pytest.mark.parametrize(
    ("text", "n_words"),
    [("", 0), ("— … !", 0), ("state-of-the-art, isn't it?", 3), ("3.5 mm _ x", 3), ("naïve Ærø 猫", 3)],
)
def test_words_are_what_stands_between_blanks_and_holds_a_letter_or_digit(text: str, n_words: int) -> None:
    assert count_words(text) == n_words


@pytest.mark.parametrize(
    ("n_relations", "n_actions", "broken"),
    [(1, 1, None), (0, 0, (Reason.LOW_COMPLEXITY, 0.0)), (3, 0, (Reason.NO_ACTION, 0.0))],
)
def test_a_sentence_has_a_relation_and_an_action(n_relations: int, n_actions: int, broken: object) -> None:
    assert parse_reason(n_relations, n_actions, min_relations=1, min_actions=1) == broken


@pytest.mark.parametrize(("score", "broken"), [(0.1, None), (1.0, None), (0.09, (Reason.LANGUAGE, 0.09))])
def test_the_wanted_language_is_likely_enough(score: float, broken: object) -> None:
    assert language_reason(score, min_language_score=0.1) == broken


def test_tokens_are_lower_cased_words_and_punctuation_marks() -> None:
    assert word_tokens("Don't stop, X-rays (2)!") == ["don't", "stop", ",", "x-rays", "(", "2", ")", "!"]


def test_entropy_sums_over_positions_in_bits_and_unseen_words_add_nothing() -> None:
    counts = {"a": 4, "b": 2}
    assert entropy(["a"], counts, 8) == 0.5
    assert entropy(["a", "a", "b", "unseen"], counts, 8) == 0.5 + 0.5 + 0.5
    assert entropy([], counts, 8) == entropy(["a"], {}, 0) == 0.0


@pytest.mark.parametrize(("value", "broken"), [(0.3, None), (0.29, (Reason.LOW_ENTROPY, 0.29))])
def test_entropy_has_a_lower_limit(value: float, broken: object) -> None:
    assert entropy_reason(value, min_entropy=0.3) == broken


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (30.0, None),
        (200.0, None),
        (29.9, Reason.LOW_PERPLEXITY),
        (200.1, Reason.HIGH_PERPLEXITY),
        (math.inf, Reason.HIGH_PERPLEXITY),
        (math.nan, Reason.HIGH_PERPLEXITY),
    ],
)
def test_perplexity_lies_within_its_bounds(value: float, reason: Reason | None) -> None:
    broken = perplexity_reason(value, min_perplexity=30, max_perplexity=200)
    assert (broken[0] if broken else None) == reason
