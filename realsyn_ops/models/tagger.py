"""Taggers: the classes of ImageNet by the demo's classifier, or any list of tags scored in the encoder's own space."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Encoder
from realsyn_ops.models.image_classes import choose_tags, class_names, load_classifier

if TYPE_CHECKING:
    from PIL.Image import Image

_LOGIT_SCALE = 100.0


class ClassTagger:
    """Names of the likeliest ImageNet classes; `choose_tags` says which."""

    def __init__(self, device: str) -> None:
        self._classifier = load_classifier(device)
        self._names = class_names()
        self.name = f"imagenet-classes({self._classifier.name})"

    def tag(self, images: "list[Image]") -> list[list[str]]:
        if not images:
            return []
        _, probabilities = self._classifier.classify(images)
        return [choose_tags(row, self._names) for row in probabilities]


class ZeroShotTagger:
    """CLIP's zero-shot classification: "a photo of a TAG." against the image, at CLIP's usual scale."""

    def __init__(self, encoder: Encoder, tags_path: str) -> None:
        self.name = f"clip-zero-shot({encoder.name}, {tags_path or 'imagenet class names'})"
        self._encoder = encoder
        self._tags = _read_tags(tags_path) if tags_path else list(dict.fromkeys(class_names()))
        self._embeddings = encoder.encode_texts([f"a photo of a {tag}." for tag in self._tags])

    def tag(self, images: "list[Image]") -> list[list[str]]:
        if not images:
            return []
        joint, _ = self._encoder.encode_images(images)
        logits = _LOGIT_SCALE * (joint.astype(np.float64) @ self._embeddings.T.astype(np.float64))
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [choose_tags(row, self._tags) for row in weights / weights.sum(axis=1, keepdims=True)]


def _read_tags(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PermanentError(f"cannot read the tag list {path}: {error.strerror}") from error
    tags = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(tags) < 2:
        raise PermanentError(f"the tag list {path} holds {len(tags)} tags; at least 2 are needed")
    return tags
