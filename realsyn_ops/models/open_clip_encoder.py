"""Any model of open_clip, by its name and a pretrained tag or a checkpoint's path; with a path nothing is looked up."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import open_clip
import torch

from realsyn_ops.errors import PermanentError
from realsyn_ops.models.batches import map_rows, unit_rows

if TYPE_CHECKING:
    from PIL.Image import Image

_BATCH = 16


class OpenClipEncoder:
    """One space for both sides: `visual` equals the joint rows."""

    def __init__(self, model: str, pretrained: str, device: str) -> None:
        if model not in open_clip.list_models():
            raise PermanentError(f"open_clip has no model {model!r}; see open_clip.list_models()")
        tags = open_clip.list_pretrained_tags_by_model(model)
        if pretrained not in tags and not Path(pretrained).is_file():
            raise PermanentError(f"{pretrained!r} is neither a checkpoint nor a tag of {model} ({', '.join(tags)})")
        self.name = f"open_clip:{model}@{pretrained}"
        self._device = device
        self._model, _, self._preprocess = open_clip.create_model_and_transforms(
            model, pretrained=pretrained, device=device, precision="fp32"
        )
        self._model.eval()
        self._tokenizer = open_clip.get_tokenizer(model)
        self.dim = self.visual_dim = int(self.encode_texts(["a photo"]).shape[1])

    def encode_images(self, images: "list[Image]") -> tuple[np.ndarray, np.ndarray]:
        if not images:
            return np.zeros((0, self.dim), np.float32), np.zeros((0, self.dim), np.float32)
        pixels = np.stack([self._preprocess(image.convert("RGB")).numpy() for image in images])
        joint = unit_rows(map_rows(pixels, _BATCH, self._encode_pixels, self._device))
        return joint, joint

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        tokens = self._tokenizer(texts).numpy()
        return unit_rows(map_rows(tokens, _BATCH, self._encode_tokens, self._device))

    def _encode_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._model.encode_image(pixels)

    def _encode_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._model.encode_text(tokens)
