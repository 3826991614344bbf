"""Tags of a list by the images' own vectors: what is scored, which are chosen, and when the list is embedded."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Tagger
from realsyn_ops.models.load import load_tagger
from realsyn_ops.models.tagger import base_tags, likely, outstanding

TAGS = tuple(f"tag {i}" for i in range(400))
NOT_LOOKED_AT = [Image.new("RGB", (8, 8))] * 3


class Words:
    """Texts as random directions, by their letters; counts what it is asked."""

    dim = visual_dim = 48

    def __init__(self, name: str) -> None:
        self.name = name
        self.n_texts = 0

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        self.n_texts += len(texts)
        rows = np.array([np.random.default_rng(list(text.encode())).standard_normal(self.dim) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_images(self, images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("a tagger must not look at the images again")


def vectors_of(encoder: Words, *mixtures: dict[str, float]) -> np.ndarray:
    rows = [sum(w * encoder.encode_texts([f"a photo of a {tag}."])[0] for tag, w in m.items()) for m in mixtures]
    return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


def load(
    encoder: Words, models_path: Path, spec: str = "mined:0123456789abcdef", tags: tuple[str, ...] = TAGS
) -> Tagger:
    return load_tagger(spec, encoder=encoder, device="cpu", threads=1, models_path=models_path, tags=tags)


def test_an_image_gets_the_tags_its_own_vector_is_near_to_best_first(tmp_path: Path) -> None:
    encoder = Words("words")
    vectors = vectors_of(encoder, {"tag 7": 1.0}, {"tag 3": 1.0, "tag 200": 0.95}, {"tag 9": 1.0, "tag 11": 0.5})
    assert load(encoder, tmp_path).tag(NOT_LOOKED_AT, vectors) == [["tag 7"], ["tag 3", "tag 200"], ["tag 9"]]


def test_an_image_that_no_tag_stands_out_for_gets_none(tmp_path: Path) -> None:
    encoder = Words("words")
    assert load(encoder, tmp_path).tag(NOT_LOOKED_AT[:1], vectors_of(encoder, dict.fromkeys(TAGS, 1.0))) == [[]]


def test_the_choice_depends_on_neither_scale_nor_offset_of_the_cosines() -> None:
    cosines = np.random.default_rng(1).normal(0, 0.1, (4, 300))
    cosines[[0, 0, 1, 1], [5, 6, 8, 9]] = 0.9, 0.55, 0.8, 0.6
    cosines[3, 20:27] = 0.9
    names = [str(i) for i in range(300)]
    found = outstanding(cosines, names)
    assert found == [["5"], ["8", "9"], [], ["20", "21", "22", "23", "24"]]
    assert outstanding(0.15 + 0.05 * cosines, names) == found


def test_tags_that_exclude_each_other_are_told_by_their_probability() -> None:
    assert likely(np.array([[0.30, 0.2, 0.1], [0.25, 0.245, 0.1]]), ["a", "b", "c"]) == [["a"], ["a", "b"]]


def test_a_list_is_embedded_once_for_all_processes_and_again_for_another_list_or_encoder(tmp_path: Path) -> None:
    for encoder, tags, asked in (
        (Words("words"), TAGS, 400), (Words("words"), TAGS, 0), (Words("words"), TAGS[1:], 399),
        (Words("others"), TAGS, 400),
    ):  # fmt: skip
        tagger = load(encoder, tmp_path, tags=tags)
        assert encoder.n_texts == asked
        assert tagger.name.startswith(f"zero-shot({encoder.name}, {len(tags)} tags ")
    assert len(list(tmp_path.glob("tags-*.npy"))) == 3


def test_a_mined_list_without_its_tags_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="mined:0123456789abcdef"):
        load(Words("words"), tmp_path, tags=())


def test_the_list_of_a_tagger_is_its_files_or_imagenets(tmp_path: Path) -> None:
    (tmp_path / "tags.txt").write_text("oak\nelm\noak\n")
    assert base_tags(f"clip-zero-shot:{tmp_path / 'tags.txt'}") == ("oak", "elm")
    assert base_tags("demo") == base_tags("clip-zero-shot")
    assert len(base_tags("demo")) == 998
