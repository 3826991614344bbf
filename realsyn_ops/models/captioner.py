"""Captions by a transformers model that looks at the image (BLIP, Florence-2), by hub name or path."""

from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from realsyn_ops.models.batches import fixed_batches

if TYPE_CHECKING:
    from PIL.Image import Image

_BATCH, _MAX_NEW_TOKENS = 8, 40
_TASK_PROMPTS = {"florence2": "<CAPTION>"}


class TransformersCaptioner:
    """Greedy captions in fixed batches; the tags are ignored."""

    def __init__(self, model: str, device: str) -> None:
        self.name = f"hf:{model}"
        self._device = device
        self._processor = AutoProcessor.from_pretrained(model)
        self._model = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32).eval().to(device)

    @torch.inference_mode()
    def caption(self, images: "list[Image]", tags: list[list[str]]) -> list[str]:
        prompt = _TASK_PROMPTS.get(self._model.config.model_type)
        captions: list[str] = []
        for rows in fixed_batches(len(images), _BATCH):
            batch = [image.convert("RGB") for image in images[rows]]
            text = {"text": [prompt] * len(batch)} if prompt else {}
            inputs = self._processor(images=batch, return_tensors="pt", **text).to(self._device)
            ids = self._model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=_MAX_NEW_TOKENS)
            captions += [" ".join(line.split()) for line in self._processor.batch_decode(ids, skip_special_tokens=True)]
        return captions
