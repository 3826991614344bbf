"""The `clip` preset's encoder and tags, through open_clip itself, with a small checkpoint of random weights."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Encoder
from realsyn_ops.models.load import load_encoder, load_tagger

CPU = {"device": "cpu", "threads": 1, "models_path": Path()}
SMALL_CLIP = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("clip")
    (folder / "ViT-Small-Test.json").write_text(json.dumps(SMALL_CLIP))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    torch.save(open_clip.create_model("ViT-Small-Test").state_dict(), folder / "weights.pt")
    return load_encoder(f"open_clip:ViT-Small-Test@{folder / 'weights.pt'}", **CPU)


def test_rows_are_unit_float32_and_visual_is_the_joint_space(encoder: Encoder, pictures: list[Image.Image]) -> None:
    joint, visual = encoder.encode_images(pictures)
    texts = encoder.encode_texts(["a dog", "a cat", "a dog"])
    assert (encoder.dim, encoder.visual_dim) == (48, 48)
    assert (joint.shape, texts.shape) == ((4, 48), (3, 48))
    assert (joint == visual).all()
    for rows in (joint, texts):
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert (texts[0] == texts[2]).all()
    assert (texts[0] != texts[1]).any()
    assert encoder.encode_texts([]).shape == (0, 48)
    assert encoder.encode_images([])[0].shape == (0, 48)


def test_the_checkpoint_is_what_was_loaded(encoder: Encoder, pictures: list[Image.Image]) -> None:
    path = encoder.name.partition("@")[2]
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-Small-Test", pretrained=path)
    model.eval()
    with torch.inference_mode():
        expected = model.encode_image(torch.stack([preprocess(image) for image in pictures]), normalize=True)
    assert np.allclose(encoder.encode_images(pictures)[0], expected.numpy(), atol=1e-5)


def test_an_item_has_the_same_bits_whatever_stands_beside_it(encoder: Encoder, pictures: list[Image.Image]) -> None:
    joint, _ = encoder.encode_images(pictures)
    assert (encoder.encode_images(pictures[2:3])[0] == joint[2:3]).all()
    assert (encoder.encode_images(pictures * 5)[0][16:] == joint).all()


def test_zero_shot_tags_come_from_the_list(encoder: Encoder, pictures: list[Image.Image], tmp_path: Path) -> None:
    tags_path = tmp_path / "tags.txt"
    tags_path.write_text("oak\n\nelm \noak\n")
    tagger = load_tagger(f"clip-zero-shot:{tags_path}", encoder=encoder, **{**CPU, "models_path": tmp_path})
    vectors, _ = encoder.encode_images(pictures)
    tags = tagger.tag(pictures, vectors)
    scores = vectors @ encoder.encode_texts(["a photo of a oak.", "a photo of a elm."]).T
    assert [some[0] for some in tags] == [("oak", "elm")[best] for best in scores.argmax(axis=1)]


def test_the_default_list_is_imagenets_names(encoder: Encoder, pictures: list[Image.Image], tmp_path: Path) -> None:
    tagger = load_tagger("clip-zero-shot", encoder=encoder, **{**CPU, "models_path": tmp_path})
    assert len(tagger.tag(pictures, encoder.encode_images(pictures)[0])) == 4
    assert encoder.name in tagger.name


@pytest.mark.parametrize(("content", "problem"), [(None, "cannot read"), ("oak\n", "holds 1 tags")])
def test_a_useless_tag_list_is_refused(encoder: Encoder, tmp_path: Path, content: str | None, problem: str) -> None:
    tags_path = tmp_path / "tags.txt"
    if content is not None:
        tags_path.write_text(content)
    with pytest.raises(PermanentError, match=problem):
        load_tagger(f"clip-zero-shot:{tags_path}", encoder=encoder, **CPU)
