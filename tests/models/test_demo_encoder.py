"""The demo's joint space and its tags."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realsyn_ops.kinds import Encoder
from realsyn_ops.models.image_classes import choose_tags, class_names
from realsyn_ops.models.load import load_encoder, load_tagger

SENTENCES = [
    "A dog runs across the grass.",
    "An orange is a round citrus fruit.",
    "Select the menu entry and click the button.",
    "A puppy is running over a lawn.",
    "x",
    " ".join(["word"] * 300),
]


def test_rows_are_unit_float32_of_the_promised_widths(demo_encoder: Encoder, pictures: list[Image.Image]) -> None:
    joint, visual = demo_encoder.encode_images(pictures)
    texts = demo_encoder.encode_texts(SENTENCES)
    assert joint.shape == (4, demo_encoder.dim) == (4, 384)
    assert visual.shape == (4, demo_encoder.visual_dim) == (4, 1280)
    assert texts.shape == (6, 384)
    for rows in (joint, visual, texts):
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_no_images_and_no_texts_give_no_rows(demo_encoder: Encoder) -> None:
    joint, visual = demo_encoder.encode_images([])
    assert (joint.shape, visual.shape, demo_encoder.encode_texts([]).shape) == ((0, 384), (0, 1280), (0, 384))


def test_an_item_has_the_same_bits_whatever_stands_beside_it(
    demo_encoder: Encoder, pictures: list[Image.Image]
) -> None:
    joint, visual = demo_encoder.encode_images(pictures)
    swapped_joint, swapped_visual = demo_encoder.encode_images(pictures[::-1])
    alone, _ = demo_encoder.encode_images(pictures[1:2])
    assert (joint[::-1] == swapped_joint).all()
    assert (visual[::-1] == swapped_visual).all()
    assert (joint[1] == alone[0]).all()
    texts = demo_encoder.encode_texts(SENTENCES[:5])
    assert (texts[::-1] == demo_encoder.encode_texts(SENTENCES[4::-1])).all()
    assert (texts[3] == demo_encoder.encode_texts(SENTENCES[3:4])[0]).all()


def test_paraphrases_are_near_and_an_orange_is_nearest_to_its_sentence(
    demo_encoder: Encoder, pictures: list[Image.Image]
) -> None:
    texts = demo_encoder.encode_texts(SENTENCES[:4])
    assert texts[0] @ texts[3] > 0.6 > 0.4 > texts[0] @ texts[2]
    joint, _ = demo_encoder.encode_images(pictures[:1])
    assert (joint @ texts.T).argmax() == 1


def test_tags_are_class_names_best_first(demo_encoder: Encoder, pictures: list[Image.Image]) -> None:
    tagger = load_tagger("demo", encoder=demo_encoder, device="cpu", threads=1, models_path=Path())
    vectors = np.zeros((len(pictures), demo_encoder.dim), np.float32)
    tags = tagger.tag(pictures, vectors)
    assert len(tags) == 4
    assert tags[0][0] == "ping-pong ball"
    assert all(tag in class_names() for some in tags for tag in some)
    assert tagger.tag([], vectors[:0]) == []


@pytest.mark.parametrize(
    ("probabilities", "tags"),
    [
        ([0.9, 0.05, 0.05, 0.0], ["a"]),
        ([0.05, 0.05, 0.9, 0.0], ["c"]),
        ([0.55, 0.40, 0.05, 0.0], ["a", "b"]),
        ([0.40, 0.08, 0.07, 0.06], ["a", "b"]),
        ([0.30, 0.25, 0.2, 0.15], ["a", "b", "c", "d"]),
        ([0.62, 0.14, 0.0, 0.0], ["a"]),
        ([0.09, 0.08, 0.0, 0.0], []),
    ],
)
def test_one_tag_means_certainty_and_several_mean_doubt(probabilities: list[float], tags: list[str]) -> None:
    assert choose_tags(np.array(probabilities), ["a", "b", "c", "d"]) == tags


def test_the_kept_class_names_give_the_same_space_as_fresh_ones(demo_encoder: Encoder, tmp_path: Path) -> None:
    fresh = load_encoder("demo", device="cpu", threads=1, models_path=tmp_path)
    assert (fresh.encode_texts(SENTENCES[:2]) == demo_encoder.encode_texts(SENTENCES[:2])).all()
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]
