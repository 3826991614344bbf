"""Captions by a transformers model that looks at the image, by hub name or path: BLIP, Florence-2, or any model of
transformers' image-text-to-text kind that takes a conversation."""

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from realsyn_ops.models.batches import fixed_batches
from realsyn_ops.models.prompt import read_prompt
from realsyn_ops.records import fold_space

if TYPE_CHECKING:
    from PIL.Image import Image

_BATCH, _MAX_NEW_TOKENS = 8, 40
_TASK_PROMPTS = {"florence2": "<CAPTION>"}


class TransformersCaptioner:
    """Greedy captions in fixed batches; the tags are ignored. What a model is asked: its own word for the task, else
    the prompt of captioners where it takes a conversation, else nothing."""

    def __init__(self, model: str, device: str) -> None:
        self.name = f"hf:{model}"
        self._device = device
        self._processor = AutoProcessor.from_pretrained(model)
        self._model = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32).eval().to(device)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._tokenizer.padding_side = "left"

    def caption(self, images: "list[Image]", tags: list[list[str]]) -> list[str]:
        captions: list[str] = []
        for rows in fixed_batches(len(images), _BATCH):
            tokens = self.tokens(images[rows])
            captions += map(fold_space, self._processor.batch_decode(tokens, skip_special_tokens=True))
        return captions

    @torch.inference_mode()
    def tokens(self, images: "list[Image]") -> list[list[int]]:
        """What the model writes about a batch of images: token ids, padded, without the question."""
        inputs = self._inputs([image.convert("RGB") for image in images]).to(self._device)
        ids = self._model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=_MAX_NEW_TOKENS)
        is_continued = "input_ids" in inputs and not self._model.config.is_encoder_decoder
        return ids[:, inputs["input_ids"].shape[1] if is_continued else 0 :].tolist()

    def _inputs(self, images: "list[Image]") -> Any:
        if task := _TASK_PROMPTS.get(self._model.config.model_type):
            return self._processor(images=images, text=[task] * len(images), return_tensors="pt")
        if not getattr(self._processor, "chat_template", None):
            return self._processor(images=images, return_tensors="pt")
        words = " ".join(text for _, text in read_prompt("caption-v1")[2])
        conversations = [
            [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": words}]}]
            for image in images
        ]
        return self._processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
