"""The kinds of model a stage may be handed. Stages name these; `models` implements them; operators bring both together.

All are deterministic for the same inputs in the same order and batches. Arrays are numpy, images PIL in RGB.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image


class Encoder(Protocol):
    """Images and texts in one space."""

    name: str
    dim: int
    visual_dim: int

    def encode_images(self, images: "list[Image]") -> "tuple[np.ndarray, np.ndarray]":
        """(joint (n, dim), visual (n, visual_dim)): float32 unit rows. `visual` compares images with images."""
        ...

    def encode_texts(self, texts: list[str]) -> "np.ndarray":
        """(n, dim) float32 unit rows in the joint space."""
        ...


class LanguageModel(Protocol):
    name: str

    def perplexity(self, texts: list[str]) -> "np.ndarray":
        """(n,) float64: exp of the mean token negative log likelihood of each text (paper section 3.1)."""
        ...


@dataclass(frozen=True, slots=True)
class Parse:
    """What the sentence filters need of a dependency parse: C1 and the action (paper section 3.1)."""

    n_relations: int
    n_actions: int


class Parser(Protocol):
    name: str

    def parse(self, texts: list[str]) -> list[Parse]: ...


class Tagger(Protocol):
    name: str

    def tag(self, images: "list[Image]") -> list[list[str]]:
        """Tags per image, best first."""
        ...


class Captioner(Protocol):
    name: str

    def caption(self, images: "list[Image]", tags: list[list[str]]) -> list[str]:
        """One caption per image. A captioner that looks at the image ignores the tags."""
        ...


@dataclass(frozen=True, slots=True)
class Merge:
    """What a rewriter merges into one sentence: the best realistic text, a caption and tags (paper section 3.3)."""

    realistic_text: str
    caption: str
    tags: tuple[str, ...]


class Rewriter(Protocol):
    name: str

    def rewrite(self, merges: list[Merge]) -> list[str]:
        """The model's answers as they are, one a merge, in order; the grounding gate judges them."""
        ...

    def payload(self, merge: Merge) -> str:
        """Canonical JSON of everything that determines the answer (model, prompt, inputs, decoding): the cache's key."""
        ...
