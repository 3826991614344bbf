"""What arms are made of, what is drawn when, and what becomes of the scores."""

import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from realsyn_ops.stages import measure
from realsyn_ops.stages.measure import Scores

ROW = {"text1": "A", "text2": "B", "text3": "C", "syn_text": "S"}


@pytest.mark.parametrize(
    ("arm", "texts"),
    [
        ("one_realistic", "A"),
        ("three_realistic", "ABC"),
        ("synthetic", "S"),
        ("three_and_synthetic", "ABCS"),
        ("random", "ABCS"),
    ],
)
def test_an_arm_of_the_release_has_the_papers_texts(arm: str, texts: str) -> None:
    assert measure.release_texts(arm, ROW) == list(texts)


def test_the_nearest_sentence_of_the_same_document_is_taken_the_one_before_where_two_are_as_near() -> None:
    images = pd.DataFrame(
        [("i1", "d1", 5), ("i2", "d1", 0), ("i3", "d2", 3), ("i4", "d3", 1)], columns=["key", "document_key", "node"]
    )
    sentences = pd.DataFrame(
        [
            ("far", "d1", 1, 0),
            ("before", "d1", 4, 0),
            ("just before", "d1", 4, 1),
            ("after", "d1", 6, 0),
            ("first", "d1", 1, 1),
            ("only", "d2", 40, 0),
        ],
        columns=["key", "document_key", "node", "position"],
    )
    found = measure.nearest_sentences(images, sentences)
    assert found == {"i1": "just before", "i2": "far", "i3": "only"}, "d3 has no sentence"


def test_each_image_is_seen_once_before_any_is_seen_again() -> None:
    draws = list(measure.draw_batches(np.full(10, 4), n_steps=6, batch_size=3, seed=1))
    for start in (0, 3):
        seen = np.concatenate([draw.images for draw in draws[start : start + 3]])
        assert len(set(seen.tolist())) == 9
    assert draws[0].images.tolist() != draws[3].images.tolist()


def test_one_of_an_images_texts_is_drawn_at_random_every_time() -> None:
    """The paper's four: 8,000 draws of each of four images; each text a quarter, within five deviations."""
    n = np.array([4, 4, 1, 4])
    counts = np.zeros((4, 4))
    for draw in measure.draw_batches(n, n_steps=8_000, batch_size=4, seed=3):
        counts[draw.images, draw.texts] += 1
    assert counts[2].tolist() == [8_000, 0, 0, 0]
    assert np.abs(counts[[0, 1, 3]] - 2_000).max() < 5 * math.sqrt(8_000 * 0.25 * 0.75)


def test_arms_of_one_seed_see_the_same_images_in_the_same_order_however_many_texts_they_have() -> None:
    one, four = (list(measure.draw_batches(np.full(20, n), n_steps=9, batch_size=8, seed=5)) for n in (1, 4))
    assert [draw.images.tolist() for draw in one] == [draw.images.tolist() for draw in four]
    other = next(measure.draw_batches(np.full(20, 4), n_steps=9, batch_size=8, seed=6))
    assert other.images.tolist() != four[0].images.tolist()


def test_fewer_images_than_a_batch_are_a_batch() -> None:
    draws = list(measure.draw_batches(np.array([1, 2]), n_steps=3, batch_size=64, seed=1))
    assert [sorted(draw.images.tolist()) for draw in draws] == [[0, 1]] * 3


@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        ([0.2, 0.4, 0.3], 0.3, 4.302653 * 0.1 / math.sqrt(3)),  # t(0.975, 2), as tables have it
        ([1.0, 3.0], 2.0, 12.7062),
        ([0.5, 0.5, 0.5], 0.5, 0.0),
        ([0.7], 0.7, None),
    ],
)
def test_an_interval_is_students(values: list[float], mean: float, half: float | None) -> None:
    found = measure.interval(values)
    assert found.mean == pytest.approx(mean)
    assert found.half == (None if half is None else pytest.approx(half, rel=1e-4))


def test_an_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    found = [measure.interval(rng.normal(1.0, 0.3, 3).tolist()) for _ in range(2_000)]
    assert 0.935 < np.mean([one.low <= 1.0 <= one.high for one in found]) < 0.965


@pytest.mark.parametrize(
    ("metric", "facts", "guess"),
    [
        ("acc1", {"n_classes": 20}, 0.05),
        ("acc5", {"n_classes": 20}, 0.25),
        ("mean_per_class_recall", {"n_classes": 4}, 0.25),
        ("text_retrieval_recall@5", {"n_images": 50, "n_texts": 50}, 0.1),
        ("image_retrieval_recall@5", {"n_images": 3, "n_texts": 3}, 1.0),
    ],
)
def test_what_guessing_gives(metric: str, facts: dict[str, int], guess: float) -> None:
    assert measure.chance(metric, facts) == pytest.approx(guess)


def drawn(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314


SETS = {"things": {"kind": "classification", "n_images": 40, "n_classes": 10}}


def scored(arm: str, seed: int, value: float) -> Scores:
    found = {"acc1": value, "acc5": min(1.0, 2 * value), "mean_per_class_recall": value}
    return Scores(arm, seed, 25, {"things": found})


SCORES = [
    *(scored("three_and_synthetic", seed, value) for seed, value in ((2, 0.30), (1, 0.20), (3, 0.40))),
    *(scored("synthetic", seed, value) for seed, value in ((1, 0.10), (2, 0.21), (3, 0.30))),
]
ARMS = ["synthetic", "three_and_synthetic", "alt"]


def test_differences_are_taken_seed_by_seed() -> None:
    """The spread over seeds is far larger than that of the differences, which are clear."""
    rows = measure.summarise(SCORES, SETS, ARMS)["results"]["things"]["acc1"]["arms"]
    assert list(rows) == ["synthetic", "three_and_synthetic"]
    assert rows["three_and_synthetic"]["values"] == [0.20, 0.30, 0.40]
    assert "difference" not in rows["three_and_synthetic"]
    less = rows["synthetic"]["difference"]
    assert less["mean"] == pytest.approx(-0.29 / 3)
    assert less["half"] == pytest.approx(measure.interval([-0.10, -0.09, -0.10]).half)
    assert less["is_clear"]
    assert rows["synthetic"]["half"] > 0.2


def test_the_card_has_a_row_an_arm_and_says_which_there_are_not() -> None:
    facts = {
        "release": "2026-01-01-12345678", "model": "m", "plan": {"steps": 300, "batch_size": 64, "seeds": 3},
        "sets": SETS, "absent": {"alt": "none has one"}, **measure.summarise(SCORES, SETS, ARMS),
    }  # fmt: skip
    text = measure.markdown(facts)
    assert "| `synthetic` | 25 | 20.3 +- 24.9 (**-9.7 +- 1.4**) |" in text
    assert "| guessing | | 10.0 | 50.0 | 10.0 |" in text
    assert "- `alt`: none has one" in text
    assert json.dumps(facts)


def test_the_plot_is_a_drawing_with_a_point_for_each_seed() -> None:
    results = measure.summarise(SCORES, SETS, ARMS)["results"]
    root = drawn(measure.draw_plot("a<b", SETS, results))
    circles = [node for node in root.iter() if node.tag.endswith("circle")]
    assert [node.get("class") for node in circles].count("seed") == 6
    assert [node.get("class") for node in circles].count("mean") == 2
    places = [float(node.get("cx", "")) for node in circles if node.get("class") == "mean"]
    assert places[0] < places[1], "synthetic is the lower one"


def test_one_seed_has_no_interval() -> None:
    only = [one for one in SCORES if one.seed == 1]
    facts = {"release": "r", "model": "m", "plan": {"steps": 20, "batch_size": 2, "seeds": 1}, "sets": SETS,
             "absent": {}, **measure.summarise(only, SETS, ARMS)}  # fmt: skip
    assert "| 10.0 (-10.0) |" in measure.markdown(facts)
    assert drawn(measure.draw_plot("r", SETS, facts["results"])).tag.endswith("svg")
