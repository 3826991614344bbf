"""An answer is asked for once: over repeated and killed tasks, against a server that counts; and asked again when the
gate refuses it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from PIL import Image

from benchmarks.material.asking import ask, batch_of
from benchmarks.material.serving import simulated
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.io.answers import Batch
from realsyn_ops.io.storage import Bucket
from realsyn_ops.kinds import Merge
from realsyn_ops.models.endpoint_captioner import EndpointCaptioner
from realsyn_ops.models.endpoint_rewriter import EndpointRewriter
from realsyn_ops.models.template_captioner import TemplateCaptioner
from realsyn_ops.operators.rewriting import fallback_rates, write_captions, write_texts
from realsyn_ops.plans import PairPlan
from realsyn_ops.presets import read_served
from tests.models.chat_server import ChatServer, chat_server, said

N = 400
NEST = Merge("Magpies build large nests of twigs in tall trees.", "a photo of a magpie", ("magpie", "tree"))
GOOD = "Large nests of twigs in tall trees are built by a magpie."
INVENTED = "The eagle builds large nests of twigs in tall trees of Paris."


def killed_after(bucket: Bucket, url: str, n_answers: int, answered: Any) -> None:
    """Start a process that asks, and kill it once the server has given so many answers."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.material.asking",
        json.dumps(asdict(bucket)),
        f"{url}#m",
        "0",
        str(N),
        "{}",
    ]
    with subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}) as process:
        deadline = time.monotonic() + 60
        while answered() < n_answers:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)


def test_killed_twice_and_run_again_no_answer_is_lost_or_received_twice(bucket: Bucket) -> None:
    with simulated(slots=16, max_requests=60, faults={"error": 0.02, "malformed": 0.02, "cut": 0.02}) as server:
        for n_answers in (100, 220):
            killed_after(bucket, server.url, n_answers, lambda: server.stats()["answered"])
        kept = len(batch_of(bucket, 0).arrived())
        stats = server.stats()
        assert kept >= stats["received"] > 150
        texts = [answer.text for answer in ask(bucket, f"{server.url}#m", 0, N).answers]
        stats = server.stats()
        assert stats["answered"] == N
        assert stats["counts"].get("asked_though_received", 0) == 0
        assert stats["answered_again"] <= 2 * stats["most_open"], "no more than what was on its way at the kills"
        assert len({*texts}) == N
        assert all(text.startswith("Heard ") and text.endswith(".") for text in texts)
        assert [answer.text for answer in ask(bucket, f"{server.url}#m", 0, N).answers] == texts
        assert server.stats()["requests"] == stats["requests"], "the second run asks nothing"


@pytest.fixture
def endpoint() -> Iterator[ChatServer]:
    with chat_server() as server:
        server.pause_s = 0
        yield server


def write(bucket: Bucket, server: ChatServer, *merges: Merge, day: str = "2025-02-18") -> tuple[Any, Any]:
    rewriter = EndpointRewriter(read_served(f"{server.url}#m"))
    return write_texts(Batch(bucket, day, "b1"), rewriter, list(merges), max_words=60)


def test_a_refused_answer_is_asked_for_once_more_with_the_reason(bucket: Bucket, endpoint: ChatServer) -> None:
    endpoint.reply = lambda body: (200, said(GOOD if len(body["messages"]) > 6 else INVENTED))
    [text], [first, second] = write(bucket, endpoint, NEST)
    assert (text.text, text.origin, text.reason) == (GOOD, "rewriter", "")
    assert [row["reason"] for row in first.rows.values()] == ["ungrounded_word"]
    assert [(row["reason"], row["n_try"]) for row in second.rows.values()] == [(None, 2)]
    again = endpoint.requests[1][2]["messages"]
    assert again[-2] == {"role": "assistant", "content": INVENTED}
    assert "in none of the three lines" in again[-1]["content"]
    assert set(first.keys).isdisjoint(second.keys)
    assert (first.spent.n_answers, first.spent.n_accepted, second.spent.n_accepted) == (1, 0, 1)
    assert second.spent.n_prompt_tokens == 100
    assert second.spent.n_bytes > 1_000


def test_refused_again_the_template_stands_in_and_says_why(bucket: Bucket, endpoint: ChatServer) -> None:
    endpoint.answer = said(INVENTED)
    [text], _ = write(bucket, endpoint, NEST)
    assert (text.origin, text.reason) == ("template", "ungrounded_word")
    assert "agpies build large nests" in text.text
    assert len(endpoint.requests) == 2


def test_what_the_endpoint_does_not_take_is_the_templates_and_known_as_that(
    bucket: Bucket, endpoint: ChatServer
) -> None:
    def reply(body: dict[str, Any]) -> tuple[int, bytes]:
        return (400, b"too long") if "numberless" in body["messages"][-1]["content"] else (200, said(GOOD))

    endpoint.reply = reply
    others = [Merge(f"{NEST.realistic_text} {i}", NEST.caption, NEST.tags) for i in range(3)]
    made, [first, second] = write(bucket, endpoint, *others, Merge("numberless nests", NEST.caption, NEST.tags))
    assert [(text.origin, text.reason) for text in made] == [("rewriter", "")] * 3 + [("template", "endpoint_refused")]
    assert (len(first.rows), len(second.rows)) == (3, 0), "a refusal costs nothing and is not kept"


def test_the_same_merge_is_asked_once_for_all_its_images(bucket: Bucket, endpoint: ChatServer) -> None:
    endpoint.answer = said(GOOD)
    made, [first, _] = write(bucket, endpoint, NEST, NEST, NEST)
    assert {text.text for text in made} == {GOOD}
    assert len(endpoint.requests) == len(first.rows) == 1


def test_captions_of_an_endpoint_are_paid_for_once_and_go_as_bytes(bucket: Bucket, endpoint: ChatServer) -> None:
    endpoint.reply = lambda body: (200, said(" A red\n square. "))
    captioner = EndpointCaptioner(read_served(f"{endpoint.url}#eyes"))
    images = [Image.new("RGB", (900, 600), color) for color in ("red", "blue")]
    for _ in range(2):
        captions, [paid] = write_captions(Batch(bucket, "2025-02-18", "b1"), captioner, images, [["square"], []])
        assert captions == ["A red square."] * 2
        assert paid.spent.n_accepted == 2
    assert len(endpoint.requests) == 2
    picture, words = endpoint.requests[0][2]["messages"][-1]["content"]
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert words["text"] == "Caption this picture."
    assert "response_format" not in endpoint.requests[0][2]


def test_an_image_without_a_caption_has_what_its_tags_say(bucket: Bucket, endpoint: ChatServer) -> None:
    endpoint.answer = said("")
    captioner = EndpointCaptioner(read_served(f"{endpoint.url}#eyes"))
    batch, images = Batch(bucket, "2025-02-18", "b1"), [Image.new("RGB", (90, 60))]
    assert write_captions(batch, captioner, images, [["magpie"]])[0] == ["a photo of a magpie"]
    assert write_captions(batch, TemplateCaptioner(), images, [["jay"]]) == (["a photo of a jay"], [])


@pytest.mark.parametrize(
    ("reasons", "within"),
    [
        ({None: 40, "cut": 60}, [True, True]),
        ({None: 2, "cut": 98}, [False, True]),
        ({None: 0, "cut": 3}, [True, True]),
        ({None: 50, "not_asked": 950}, [True, True]),
        ({None: 80, "endpoint_failed": 15, "endpoint_refused": 5}, [True, False]),
        ({}, [True, True]),
    ],
)
def test_the_gate_holds_what_falls_back_to_the_plans_limits(reasons: dict[str | None, int], within: list[bool]) -> None:
    plan = PairPlan(inputs="", code="", day="2025-02-18", max_fallback_share=0.9, max_unanswered_share=0.05)
    drawn = [reason for reason, n in reasons.items() for _ in range(n)]
    rows = [pair_row(reason, f"Text {n} begins in its own way.") for n, reason in enumerate(drawn)]
    rows += [pair_row(None, "") | {"reason": "too_few_texts"}] * 5
    frame = fallback_rates(rows, plan)
    assert frame["is_within_limit"].tolist() == [*within, True]
    assert frame["share"].between(0, 1).all()


@pytest.mark.parametrize(
    ("n_alike", "n_others", "is_within"), [(19, 0, True), (20, 0, False), (60, 60, True), (60, 20, False)]
)
def test_the_gate_sees_a_rewriter_that_begins_its_texts_alike(n_alike: int, n_others: int, is_within: bool) -> None:
    plan = PairPlan(inputs="", code="", day="2025-02-18", max_opening_share=0.5)
    alike = [f"In this image we see {n} birds." for n in range(n_alike)]
    others = [f"Bird {n} sits on a branch of the tree." for n in range(n_others)]
    templates = [pair_row("cut", "A picture that may show a jay: it sings.") | {"syn_origin": "template"}] * 99
    frame = fallback_rates([*templates, *(pair_row(None, text) for text in (*alike, *others))], plan)
    assert frame.set_index("what")["is_within_limit"]["beginning alike"] == is_within


def pair_row(reason: str | None, text: str) -> dict[str, Any]:
    return {"reason": None, "syn_reason": reason, "syn_origin": "template" if reason else "rewriter", "syn_text": text}
