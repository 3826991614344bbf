"""The kinds of model a stage may be handed. Stages name these; `models` implements them; operators bring both together.

All are deterministic for the same inputs in the same order and batches. Arrays are numpy, images PIL in RGB.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

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

    def noun_phrases(self, texts: list[str]) -> list[list[str]]:
        """Per text its distinct noun phrases of one to three words, in lower case and sorted."""
        ...


class LanguageIdentifier(Protocol):
    name: str

    def identify(self, texts: list[str], language: str) -> list[tuple[str, float]]:
        """Per text its likeliest language (ISO 639-1) and the probability that it is in ``language``."""
        ...


class Tagger(Protocol):
    name: str

    def tag(self, images: "list[Image]", vectors: "np.ndarray") -> list[list[str]]:
        """Tags per image, best first. ``vectors`` (n, dim) are the images' joint rows by the run's encoder: a tagger
        that scores a list in the encoder's space looks at these and not at the images."""
        ...


class Captioner(Protocol):
    name: str

    def caption(self, images: "list[Image]", tags: list[list[str]]) -> list[str]:
        """One caption per image. A captioner that looks at the image ignores the tags."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a policy refuses an image: a score on the policy's own scale, and a few words for who looks at rejects."""

    score: float
    detail: str = ""


class ImagePolicy(Protocol):
    """A deployment's own rule for images: nudity, faces, a list of hashes. None is built in.

    Set `REALSYN_IMAGE_POLICIES=module:factory`; the factory is called without arguments once a task. `name` names the
    rule, its model and its version in one word: it is part of the plan, so that a changed policy judges anew.
    """

    name: str

    def judge(self, images: "list[Image]") -> list[Verdict | None]:
        """One verdict per image, in order; None lets it pass. An error fails the task: nothing passes unjudged."""
        ...


@dataclass(frozen=True, slots=True)
class Merge:
    """What a rewriter merges into one sentence: the best realistic text, a caption and tags (paper section 3.3)."""

    realistic_text: str
    caption: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A merge to be written; with the answer that the grounding gate refused and why, when it is asked once more."""

    merge: Merge
    refused: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, and what that cost over all its tries.

    ``finish``: `stop`; `length` where it was cut. Without a text and a price: `refused` where the endpoint does not
    take this question, `failed` where it came to no answer (``detail`` has its words), `unasked` where the model was
    spared.
    """

    text: str
    finish: str = "stop"
    n_prompt_tokens: int = 0
    n_answer_tokens: int = 0
    n_bytes: int = 0
    detail: str = ""

    @property
    def is_paid(self) -> bool:
        return self.finish in {"stop", "length"}


Keep = Callable[[list[tuple[int, Answer]]], None]
"""Is given answers that were paid for, with their places, as they arrive; none counts as received before it returns."""

Asked = TypeVar("Asked", contravariant=True)


@runtime_checkable
class Answerer(Protocol[Asked]):
    """A model whose answers cost and are kept: each is known by its payload and asked for once."""

    name: str
    prompt: str

    def payload(self, question: Asked) -> str:
        """Canonical JSON of all that determines the answer (model, prompt, inputs, decoding): the cache's key."""
        ...

    def answer(self, questions: Sequence[Asked], keep: Keep) -> list[Answer]:
        """The model's answers as they are, one a question, in order; the caller judges them.

        ``keep`` may be called from another thread, never twice at once; what it raises ends the call.
        """
        ...


class Rewriter(Answerer[Question], Protocol):
    """``takes_reasons``: whether a refused answer is worth asking for once more with the reason."""

    takes_reasons: bool


_FUNCTION_WORDS = """
a about above across after again against along also although am among an and another any are around as at
away be because been before behind being below beneath beside besides between beyond both but by can could
did do does doing done down during each either else even for from had has have having he her here hers
herself him himself his how however i if in inside instead into is it its itself just like made may me might
mine much must my near of off often on once one onto or other others our ours out outside over own per
perhaps rather same shall she should shown shows showing show since so some such than that the their theirs
them themselves then there therefore these they this those though through thus to together too toward
towards under until up upon us very via was we were what when where whether which while who whom whose why
will with within would yet you your yours
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words of grammar without content, negation or quantity: a synthetic text may use them whatever its sources say."""
