"""Model names: presets, replacements, and the errors of names nobody knows."""

from pathlib import Path

import pytest

from realsyn_ops.errors import PermanentError
from realsyn_ops.models import load
from realsyn_ops.presets import PRESETS, check_spec, resolve

CPU = {"device": "cpu", "threads": 1, "models_path": Path()}


@pytest.mark.parametrize("name", ["demo", "clip", "paper"])
def test_every_preset_is_made_of_known_names(name: str) -> None:
    preset = resolve(name, {})
    assert preset == PRESETS[name]
    for kind, spec in vars(preset).items():
        assert check_spec(kind, spec) == spec


def test_a_replacement_that_is_not_empty_replaces() -> None:
    preset = resolve("demo", {"parser": "", "rewriter": "http://host:8000/v1#llama", "language_model": "hf:/w/gpt2"})
    assert (preset.parser, preset.rewriter) == ("demo", "http://host:8000/v1#llama")
    assert (preset.language_model, preset.encoder) == ("hf:/w/gpt2", "demo")


@pytest.mark.parametrize(
    ("kind", "spec", "accepted"),
    [
        ("encoder", "clip", "open_clip:MODEL@"),
        ("encoder", "open_clip:ViT-B-32", "open_clip:MODEL@"),
        ("tagger", "template", "clip-zero-shot"),
        ("captioner", "demo", "template, hf:"),
        ("rewriter", "http://host/v1", "#MODEL"),
        ("rewriter", "ftp://host/v1#m", "#MODEL"),
        ("language_model", "gpt2", "hf:NAME_OR_PATH"),
        ("parser", "spacy:", "spacy:NAME_OR_PATH"),
    ],
)
def test_an_unknown_name_is_refused_with_what_is_accepted(kind: str, spec: str, accepted: str) -> None:
    encoder = {"encoder": None} if kind == "tagger" else {}
    for call in (lambda: resolve("demo", {kind: spec}), lambda: getattr(load, f"load_{kind}")(spec, **encoder, **CPU)):
        with pytest.raises(PermanentError) as refused:
            call()
        assert repr(spec) in str(refused.value)
        assert accepted in str(refused.value)


def test_an_unknown_preset_or_kind_is_refused() -> None:
    with pytest.raises(PermanentError, match="demo, clip, paper"):
        resolve("clips", {})
    with pytest.raises(PermanentError, match="unknown kind of model 'encodr'"):
        resolve("demo", {"encodr": "demo"})


@pytest.mark.parametrize(
    ("kind", "spec", "named"),
    [
        ("encoder", "open_clip:ViT-B-33@openai", "ViT-B-33"),
        ("encoder", "open_clip:ViT-B-32@/no/such/checkpoint.pt", "/no/such/checkpoint.pt"),
        ("language_model", "hf:/no/such/folder", "/no/such/folder"),
        ("captioner", "hf:/no/such/folder", "/no/such/folder"),
    ],
)
def test_a_missing_checkpoint_is_a_permanent_error_that_names_it(kind: str, spec: str, named: str) -> None:
    with pytest.raises(PermanentError, match=named):
        getattr(load, f"load_{kind}")(spec, **CPU)
