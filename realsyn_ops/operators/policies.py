"""The deployment's own policies for images: loaded by name, asked in order. What they are: `kinds.ImagePolicy`."""

import importlib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import ImagePolicy, Verdict

if TYPE_CHECKING:
    from PIL.Image import Image

_VARIABLE = "REALSYN_IMAGE_POLICIES"
_NAME = re.compile(r"[\w.@/:+-]+")


def load_policies(specs: str) -> list[ImagePolicy]:
    """The policies of blank-separated `module:factory`s. PermanentError names the variable and what is wrong."""
    policies = [_load(spec) for spec in specs.split()]
    names = [policy.name for policy in policies]
    if len(set(names)) < len(names):
        raise PermanentError(f"{_VARIABLE}: two policies have one name: {' '.join(names)}")
    return policies


def policy_names(policies: Iterable[ImagePolicy]) -> str:
    """The names as a plan keeps them."""
    return " ".join(policy.name for policy in policies)


def judge_images(policies: Iterable[ImagePolicy], images: "Sequence[Image]") -> list[tuple[str, Verdict] | None]:
    """Per image the name and verdict of the first policy that refuses it. An image that one refused no other sees."""
    found: list[tuple[str, Verdict] | None] = [None] * len(images)
    for policy in policies:
        open_places = [place for place, verdict in enumerate(found) if verdict is None]
        verdicts = policy.judge([images[place] for place in open_places])
        if len(verdicts) != len(open_places):
            raise PermanentError(f"policy {policy.name}: {len(verdicts)} verdicts for {len(open_places)} images")
        for place, verdict in zip(open_places, verdicts, strict=True):
            found[place] = (policy.name, verdict) if verdict is not None else None
    return found


def _load(spec: str) -> ImagePolicy:
    module, _, factory = spec.partition(":")
    if not module or not factory:
        raise PermanentError(f"{_VARIABLE}: {spec!r} is no module:factory")
    try:
        policy = getattr(importlib.import_module(module), factory)()
    except Exception as error:
        raise PermanentError(f"{_VARIABLE}: {spec} cannot be loaded: {type(error).__name__}: {error}") from error
    name = getattr(policy, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not callable(getattr(policy, "judge", None)):
        raise PermanentError(f"{_VARIABLE}: {spec} gives no policy with a one-word name and judge(images)")
    loaded: ImagePolicy = policy
    return loaded
