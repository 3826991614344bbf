"""What may be trained on a release to measure it: models of open_clip's parts, small enough for a CPU or as they are.

A trainee says how a picture becomes the input of its image tower, and makes a model of fresh weights from a seed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.tokenizer import SimpleTokenizer
from torch import nn

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Encoder

if TYPE_CHECKING:
    from PIL.Image import Image

_DIM = 128
_CONTEXT = 32
_TEXT = CLIPTextCfg(context_length=_CONTEXT, width=128, heads=4, layers=1)
_PLAIN = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_UNUSED = CLIPVisionCfg(layers=1, width=16, head_width=16, patch_size=8, image_size=8)
_TINY = CLIPVisionCfg(layers=4, width=128, head_width=32, patch_size=8, image_size=64)


class Trainee(Protocol):
    """``side_px``: the shorter side that pictures need, 0 where the corpus' own vectors among images are the input."""

    name: str
    side_px: int
    tokenize: Callable[[list[str]], torch.Tensor]

    def look(self, images: "list[Image]") -> np.ndarray:
        """Inputs of the image tower, a row an image."""
        ...

    def fresh(self, seed: int) -> CLIP:
        """A model with new weights on the device."""
        ...


class FrozenFeatures:
    """An encoder's features with a new projection, and a small text tower: all that a CPU teaches in minutes.

    Locked-image tuning (Zhai et al. 2022) with both sides of the joint space new.
    """

    side_px = 0

    def __init__(self, encoder: Encoder, device: str) -> None:
        self.name = f"frozen({encoder.name}), {_DIM}"
        self.tokenize = SimpleTokenizer(context_length=_CONTEXT)
        self._encoder, self._device = encoder, device

    def look(self, images: "list[Image]") -> np.ndarray:
        return self._encoder.encode_images(images)[1]

    def fresh(self, seed: int) -> CLIP:
        torch.manual_seed(seed)
        model = CLIP(_DIM, _UNUSED, _TEXT)
        model.visual = _Projection(self._encoder.visual_dim, _DIM)
        return model.to(self._device)


class Pixels:
    """Both towers from nothing: ``tiny`` for trying out, or a model of open_clip's by name, as ViT-B-32."""

    def __init__(self, model: str, device: str) -> None:
        self.name, self._device = model, device
        config = {"embed_dim": _DIM, "vision_cfg": _TINY, "text_cfg": _TEXT} if model == "tiny" else _published(model)
        self._config = config
        found = self.fresh(0)
        side = found.visual.image_size
        self.side_px = int(side if isinstance(side, int) else max(side))
        self.tokenize = SimpleTokenizer(context_length=found.context_length)
        self._transform = open_clip.image_transform(self.side_px, is_train=False)

    def look(self, images: "list[Image]") -> np.ndarray:
        return np.stack([self._transform(image.convert("RGB")).numpy() for image in images]).astype(np.float16)

    def fresh(self, seed: int) -> CLIP:
        torch.manual_seed(seed)
        return CLIP(**self._config).to(self._device)


class _Projection(nn.Module):
    """Features onto the joint space; they come as unit rows, and are brought to a spread of one."""

    def __init__(self, n_features: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features)
        self.project = nn.Linear(n_features, dim, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.project(self.norm(features))


def _published(model: str) -> dict[str, Any]:
    config = open_clip.get_model_config(model)
    if config is None or "hf_model_name" in config["text_cfg"] or set(config) - _PLAIN:
        raise PermanentError(f"open_clip has no plain CLIP {model!r}; see open_clip.list_models(), e.g. ViT-B-32")
    return config
