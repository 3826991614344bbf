"""Taggers: the classes of ImageNet by the demo's classifier, or any list of tags scored in the encoder's own space."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Encoder
from realsyn_ops.models.image_classes import choose_tags, class_names, load_classifier
from realsyn_ops.models.kept_vectors import kept_vectors, texts_digest
from realsyn_ops.plans import code_digest

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_TAGS = 5
_LOGIT_SCALE = 100.0
_NEAR_BEST = 0.7
_STANDS_OUT = 4.0
_MAD_TO_DEVIATION = 1.4826
_BLOCK = 1_024

Choose = Callable[[np.ndarray, list[str]], list[list[str]]]
"""Tags of images, best first, by their cosines (n images, n tags)."""


class ClassTagger:
    """Names of the likeliest ImageNet classes; `choose_tags` says which."""

    def __init__(self, device: str) -> None:
        self._classifier = load_classifier(device)
        self._names = class_names()
        self.name = f"imagenet-classes({self._classifier.name})"

    def tag(self, images: "list[Image]", vectors: np.ndarray) -> list[list[str]]:
        if not images:
            return []
        _, probabilities = self._classifier.classify(images)
        return [choose_tags(row, self._names) for row in probabilities]


class ZeroShotTagger:
    """A list of tags against the images' own vectors: one product, no model but the encoder's text side, once a list.

    The tags' vectors are kept in a file among the models.
    """

    def __init__(self, encoder: Encoder, tags: Sequence[str], models_path: Path, choose: Choose) -> None:
        digest = texts_digest(encoder.name, code_digest(), texts=tags)
        self.name = f"zero-shot({encoder.name}, {len(tags)} tags {digest})"
        self._tags, self._choose = list(tags), choose
        self._vectors = kept_vectors(models_path / f"tags-{digest}.npy", lambda: encode_tags(encoder, tags))

    def tag(self, images: "list[Image]", vectors: np.ndarray) -> list[list[str]]:
        found: list[list[str]] = []
        for start in range(0, len(vectors), _BLOCK):
            rows = vectors[start : start + _BLOCK].astype(np.float64)
            found += self._choose(rows @ self._vectors.T.astype(np.float64), self._tags)
        return found


def encode_tags(encoder: Encoder, tags: Sequence[str]) -> np.ndarray:
    """(n, dim) unit rows of the tags as CLIP is asked for them."""
    return encoder.encode_texts([f"a photo of a {tag}." for tag in tags])


def likely(cosines: np.ndarray, tags: list[str]) -> list[list[str]]:
    """For a list whose tags exclude each other: CLIP's zero-shot classification at its usual scale."""
    logits = _LOGIT_SCALE * cosines
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return [choose_tags(row, tags) for row in weights / weights.sum(axis=1, keepdims=True)]


def outstanding(cosines: np.ndarray, tags: list[str]) -> list[list[str]]:
    """For a list of thousands with much between them, where a softmax would share an image out among synonyms.

    At most five that come near to the best, none where none stands out, told by how far a cosine lies above the median
    over the list, so that neither the encoder's scale nor the list's length matters: at least seven tenths of the best
    one's distance, and that at least four deviations, which the highest of thousands of cosines hardly reaches by
    chance.
    """
    above = cosines - np.median(cosines, axis=1, keepdims=True)
    usual = _MAD_TO_DEVIATION * np.median(np.abs(above), axis=1)
    best = np.argsort(-above, axis=1, kind="stable")[:, :MAX_TAGS]
    near = np.take_along_axis(above, best, axis=1)
    is_chosen = (near >= _NEAR_BEST * near[:, :1]) & (near[:, :1] >= _STANDS_OUT * usual[:, None]) & (near[:, :1] > 0)
    return [[tags[i] for i in row[chosen]] for row, chosen in zip(best, is_chosen, strict=True)]


def base_tags(spec: str) -> tuple[str, ...]:
    """The list that a tagger of this name scores, or that its mined one extends: a file's, or ImageNet's classes."""
    kind, _, path = spec.partition(":")
    path = f"{path}/tags.txt" if kind == "exported" else path
    return read_tags(path) if path else tuple(dict.fromkeys(class_names()))


def read_tags(path: str) -> tuple[str, ...]:
    """A tag a line, each once, in their order."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PermanentError(f"cannot read the tag list {path}: {error.strerror}") from error
    tags = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(tags) < 2:
        raise PermanentError(f"the tag list {path} holds {len(tags)} tags; at least 2 are needed")
    return tags
