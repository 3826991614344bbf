"""Models by name (`realsyn_ops.presets`): the one door to this package. Each function imports its library when called.

`threads` is torch's thread count in this process; `models_path` is where prepared weights lie. A process loads a model
once: what is asked for again is the same object, so a worker that makes many shards keeps its models.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Captioner, Encoder, LanguageIdentifier, LanguageModel, Parser, Rewriter, Tagger
from realsyn_ops.presets import check_spec, is_served, read_served

if TYPE_CHECKING:
    from realsyn_ops.models.trainees import Trainee

Asked = ParamSpec("Asked")
Model = TypeVar("Model")


def _once(load: Callable[Asked, Model]) -> Callable[Asked, Model]:
    return cache(load)  # type: ignore[return-value]


@_once
def load_encoder(spec: str, *, device: str, threads: int, models_path: Path) -> Encoder:
    with _loading("encoder", spec):
        _prepare_torch(threads)
        if spec == "demo":
            from realsyn_ops.models.demo_encoder import DemoEncoder

            return DemoEncoder(models_path, device)
        from realsyn_ops.models.open_clip_encoder import OpenClipEncoder

        model, _, pretrained = spec.removeprefix("open_clip:").partition("@")
        return OpenClipEncoder(model, pretrained, device)


@_once
def load_tagger(
    spec: str, *, encoder: Encoder, device: str, threads: int, models_path: Path, tags: tuple[str, ...] = ()
) -> Tagger:
    """``tags``: those of a mined list, which lies in the bucket."""
    with _loading("tagger", spec):
        _prepare_torch(threads)
        from realsyn_ops.models.tagger import ClassTagger, ZeroShotTagger, base_tags, likely, outstanding

        if spec == "demo":
            return ClassTagger(device)
        if spec.startswith("exported:"):
            from realsyn_ops.models.exported_tagger import ExportedTagger

            return ExportedTagger(Path(spec.removeprefix("exported:")), device)
        if not spec.startswith("mined:"):
            return ZeroShotTagger(encoder, base_tags(spec), models_path, likely)
        if not tags:
            raise PermanentError(f"the tagger {spec!r} was given no tags")
        return ZeroShotTagger(encoder, tags, models_path, outstanding)


@_once
def load_captioner(spec: str, *, device: str, threads: int, models_path: Path, api_key: str = "") -> Captioner:
    with _loading("captioner", spec):
        if is_served(spec):
            from realsyn_ops.models.endpoint_captioner import EndpointCaptioner

            return EndpointCaptioner(read_served(spec), api_key=api_key)
        if spec == "template":
            from realsyn_ops.models.template_captioner import TemplateCaptioner

            return TemplateCaptioner()
        _prepare_torch(threads)
        from realsyn_ops.models.captioner import TransformersCaptioner

        return TransformersCaptioner(spec.removeprefix("hf:"), device)


@_once
def load_rewriter(spec: str, *, device: str, threads: int, models_path: Path, api_key: str = "") -> Rewriter:
    with _loading("rewriter", spec):
        if spec == "demo":
            _prepare_torch(threads)
            from realsyn_ops.models.demo_rewriter import DemoRewriter

            return DemoRewriter(models_path, device)
        from realsyn_ops.models.endpoint_rewriter import EndpointRewriter

        return EndpointRewriter(read_served(spec), api_key=api_key)


@_once
def load_language_model(spec: str, *, device: str, threads: int, models_path: Path) -> LanguageModel:
    with _loading("language_model", spec):
        _prepare_torch(threads)
        from realsyn_ops.models.language_model import DEMO_MAX_TOKENS, CausalLanguageModel, load_transformers_model

        if spec == "demo":
            from realsyn_ops.models.smollm2 import load_smollm2, smollm2_revision

            model, tokenizer = load_smollm2(models_path, device)
            return CausalLanguageModel(smollm2_revision(), model, tokenizer, device, max_tokens=DEMO_MAX_TOKENS)
        return load_transformers_model(spec.removeprefix("hf:"), device)


@_once
def load_parser(spec: str, *, device: str, threads: int, models_path: Path) -> Parser:
    with _loading("parser", spec):
        from realsyn_ops.models.parser import SpacyParser, demo_pipeline

        if spec == "demo":
            return SpacyParser(*demo_pipeline())
        return SpacyParser(spec, spec.removeprefix("spacy:"))


@_once
def load_trainee(spec: str, *, encoder: str, device: str, threads: int, models_path: Path) -> "Trainee":
    """``encoder``: the one whose features are frozen, by its name."""
    with _loading("trainee", spec):
        _prepare_torch(threads)
        from realsyn_ops.models.trainees import FrozenFeatures, Pixels

        if spec != "frozen":
            return Pixels(spec.removeprefix("open_clip:"), device)
        frozen = load_encoder(encoder, device=device, threads=threads, models_path=models_path)
        return FrozenFeatures(frozen, device)


@_once
def load_language_identifier() -> LanguageIdentifier:
    from realsyn_ops.models.language_id import FastTextIdentifier

    return FastTextIdentifier()


@contextmanager
def _loading(kind: str, spec: str) -> Iterator[None]:
    """Checks the name, and names the model in the error when a library cannot load it."""
    check_spec(kind, spec)
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise PermanentError(f"cannot load the {kind} {spec!r}: {error}") from error


def _prepare_torch(threads: int) -> None:
    import torch
    from transformers.utils import logging

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    logging.disable_progress_bar()
