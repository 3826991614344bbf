"""Which models a run takes: three presets, single replacements, and the grammar of a model's name.

Names are plain strings here; `realsyn_ops.models.load` turns them into models. Nothing imports a library.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from realsyn_ops.errors import PermanentError

_URL = r"https?://[^\s#,]+"
_SERVED = rf"{_URL}(,{_URL})*#[^\s@]+(@[^\s@]+)?"

SPECS: dict[str, dict[str, str]] = {
    "encoder": {
        "demo": r"demo",
        "open_clip:MODEL@PRETRAINED_TAG_OR_CHECKPOINT_PATH": r"open_clip:[^@\s]+@\S.*",
    },
    "tagger": {
        "demo": r"demo",
        "clip-zero-shot": r"clip-zero-shot",
        "clip-zero-shot:PATH_OF_A_TAG_LIST": r"clip-zero-shot:\S.*",
        "exported:FOLDER": r"exported:\S.*",
        "mined:VERSION_OF_A_TAG_LIST": r"mined:[0-9a-f]{16}",
    },
    "captioner": {
        "template": r"template",
        "hf:NAME_OR_PATH": r"hf:\S.*",
        "http(s)://HOST/v1[,http(s)://HOST/v1]#MODEL[@REVISION]": _SERVED,
    },
    "rewriter": {"demo": r"demo", "http(s)://HOST/v1[,http(s)://HOST/v1]#MODEL[@REVISION]": _SERVED},
    "language_model": {"demo": r"demo", "hf:NAME_OR_PATH": r"hf:\S.*"},
    "parser": {"demo": r"demo", "spacy:NAME_OR_PATH": r"spacy:\S.*"},
    "trainee": {"frozen": r"frozen", "tiny": r"tiny", "open_clip:MODEL": r"open_clip:[^@\s]+"},
}
"""Per kind of model: what a user may write, and the pattern that recognises it."""


@dataclass(frozen=True)
class Preset:
    """One model name per kind; see ``SPECS`` for how each may be written."""

    encoder: str
    tagger: str
    captioner: str
    rewriter: str
    language_model: str
    parser: str


PRESETS: dict[str, Preset] = {
    "demo": Preset(
        encoder="demo", tagger="demo", captioner="template", rewriter="demo", language_model="demo", parser="demo"
    ),
    "clip": Preset(
        encoder="open_clip:ViT-B-32@laion2b_s34b_b79k",
        tagger="clip-zero-shot",
        captioner="hf:Salesforce/blip-image-captioning-base",
        rewriter="http://localhost:8000/v1#meta-llama/Meta-Llama-3-8B-Instruct",
        language_model="hf:openai-community/gpt2",
        parser="demo",
    ),
    # The paper captions with OFA-base and tags with RAM++, which no kept package loads: Florence-2 and zero-shot tags
    # stand in for them (or an `exported:` RAM++), and the release card names what ran.
    "paper": Preset(
        encoder="open_clip:EVA02-E-14-plus@laion2b_s9b_b144k",
        tagger="clip-zero-shot",
        captioner="hf:florence-community/Florence-2-base",
        rewriter="http://localhost:8000/v1#meta-llama/Meta-Llama-3-8B-Instruct",
        language_model="hf:openai-community/gpt2-large",
        parser="demo",
    ),
}


@dataclass(frozen=True)
class Served:
    """A model behind one or several endpoints. ``name`` is what answers are known by: the model and its revision."""

    urls: tuple[str, ...]
    model: str
    name: str


def is_served(spec: str) -> bool:
    return spec.startswith(("http://", "https://"))


def read_served(spec: str) -> Served:
    """``URL,URL#MODEL@REVISION``, checked before, in its parts."""
    urls, _, name = spec.partition("#")
    return Served(tuple(urls.split(",")), name.partition("@")[0], name)


def check_spec(kind: str, spec: str) -> str:
    """The spec itself; raises PermanentError naming it and what is accepted."""
    if kind not in SPECS:
        raise PermanentError(f"unknown kind of model {kind!r}; accepted: {', '.join(SPECS)}")
    if not any(re.fullmatch(pattern, spec) for pattern in SPECS[kind].values()):
        raise PermanentError(f"unknown {kind} {spec!r}; accepted: {', '.join(SPECS[kind])}")
    return spec


def resolve(name: str, overrides: Mapping[str, str]) -> Preset:
    """The named preset with every non-empty override in place of its model; raises PermanentError for unknown names."""
    if name not in PRESETS:
        raise PermanentError(f"unknown preset {name!r}; accepted: {', '.join(PRESETS)}")
    return replace(PRESETS[name], **{kind: check_spec(kind, spec) for kind, spec in overrides.items() if spec})
