"""A deployment's own policies for images: loaded by name, asked in order, refused loudly when they are none."""

import sys
import types
from collections.abc import Sequence

import pytest
from PIL import Image

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Verdict
from realsyn_ops.operators.policies import judge_images, load_policies, policy_names


class Bright:
    """Refuses pictures brighter than its limit."""

    def __init__(self, name: str = "bright@1", limit: int = 128) -> None:
        self.name = name
        self.limit = limit
        self.n_seen = 0

    def judge(self, images: Sequence[Image.Image]) -> list[Verdict | None]:
        self.n_seen += len(images)
        levels = [image.convert("L").getpixel((0, 0)) for image in images]
        return [Verdict(float(v), "too bright") if v > self.limit else None for v in levels]  # type: ignore[arg-type, operator]


@pytest.fixture(autouse=True)
def policies_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("deployment_policies")
    module.__dict__.update(
        bright=Bright,
        dark=lambda: Bright("white@2", 250),
        nameless=lambda: Bright(""),
        two_words=lambda: Bright("two words"),
        no_judge=lambda: types.SimpleNamespace(name="x"),
        fails=lambda: 1 / 0,
    )
    monkeypatch.setitem(sys.modules, "deployment_policies", module)


def test_policies_come_in_the_order_of_the_setting_and_none_by_default() -> None:
    assert policy_names(load_policies("deployment_policies:dark  deployment_policies:bright")) == "white@2 bright@1"
    assert load_policies("") == []


@pytest.mark.parametrize(
    "spec",
    [
        "deployment_policies", "deployment_policies:", ":bright", "no.such.module:bright", "deployment_policies:gone",
        "deployment_policies:nameless", "deployment_policies:two_words", "deployment_policies:no_judge",
        "deployment_policies:fails", "deployment_policies:bright deployment_policies:bright",
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused_by_the_name_of_the_variable(spec: str) -> None:
    with pytest.raises(PermanentError, match="REALSYN_IMAGE_POLICIES: "):
        load_policies(spec)


def test_the_first_policy_that_refuses_an_image_is_named_and_no_other_sees_it() -> None:
    white, bright = Bright("white@2", 250), Bright()
    images = [Image.new("RGB", (4, 4), level) for level in ("white", "black", "#cccccc")]
    found = judge_images([white, bright], images)
    assert found == [("white@2", Verdict(255.0, "too bright")), None, ("bright@1", Verdict(204.0, "too bright"))]
    assert (white.n_seen, bright.n_seen) == (3, 2)
    assert judge_images([], images) == [None] * 3


def test_a_policy_that_leaves_an_image_unjudged_is_an_error() -> None:
    class Short(Bright):
        def judge(self, images: Sequence[Image.Image]) -> list[Verdict | None]:
            return super().judge(images)[1:]

    with pytest.raises(PermanentError, match="1 verdicts for 2 images"):
        judge_images([Short()], [Image.new("RGB", (4, 4))] * 2)
