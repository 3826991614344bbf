"""A rewriter's questions as one batch of `ray.data.llm` on a real cluster; the engine alone is another."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.kinds import Answer, Merge, Question
from realsyn_ops.models.endpoint_rewriter import DECODING, SCHEMA, EndpointRewriter
from realsyn_ops.presets import read_served
from realsyn_ops.ray.batch_rewriter import BatchRewriter, vllm
from tests.models.chat_server import ChatServer, chat_server, said
from tests.ray.cluster import Cluster
from tests.ray.http_batch import process_by

pytestmark = pytest.mark.timeout(180)

QUESTIONS = [Question(Merge(f"The magpie builds nest {i}.", "a magpie", ("magpie", "nest"))) for i in range(10)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> Iterator[ChatServer]:
    """Answers with the number of the nest that it is asked about."""

    def reply(body: dict[str, Any]) -> tuple[int, bytes]:
        number = body["messages"][-1]["content"].split("builds nest ")[1].split(".")[0]
        return 200, said(json.dumps({"sentence": f"Nest {number}."}))

    for name, value in cluster.credentials.items():
        monkeypatch.setenv(name, value)
    with chat_server() as server:
        server.pause_s, server.reply = 0, reply
        yield server


def rewriter_of(cluster: Cluster, server: ChatServer) -> BatchRewriter:
    return BatchRewriter("llama@r1", cluster.address, process_by(server.url))


def test_answers_come_in_order_are_kept_as_they_come_and_ask_as_vllm_is_asked(
    cluster: Cluster, server: ChatServer
) -> None:
    kept: list[tuple[int, Answer]] = []
    answers = rewriter_of(cluster, server).answer(QUESTIONS, kept.extend)
    assert answers == [Answer(f"Nest {i}.", "stop", 100, 10) for i in range(10)]
    assert sorted(kept, key=lambda one: one[0]) == list(enumerate(answers))
    for _, _, body in server.requests:
        assert [message["role"] for message in body["messages"]][-1] == "user"
        assert json.loads(body["sampling"]) == {**DECODING, "structured_outputs": {"json": SCHEMA}}


def test_a_question_without_an_answer_costs_itself_and_many_end_the_task(cluster: Cluster, server: ChatServer) -> None:
    whole, broken = server.reply, {"nest 3."}

    def reply(body: dict[str, Any]) -> tuple[int, bytes]:
        is_broken = any(words in body["messages"][-1]["content"] for words in broken)
        return (200, said('{"other": 1}')) if is_broken else whole(body)

    server.reply = reply
    kept: list[tuple[int, Answer]] = []
    answers = rewriter_of(cluster, server).answer(QUESTIONS, kept.extend)
    assert [i for i, answer in enumerate(answers) if not answer.is_paid] == [3]
    assert len(kept) == 9
    broken |= {"nest 4."}
    with pytest.raises(TransientError, match=r"ray-llm:llama@r1 left 2 of 10 questions"):
        rewriter_of(cluster, server).answer(QUESTIONS, kept.extend)
    assert len(kept) == 17, "what was answered is kept"


def test_an_answer_is_known_by_the_same_payload_as_an_endpoints(cluster: Cluster, server: ChatServer) -> None:
    endpoint = EndpointRewriter(read_served(f"{server.url}#llama@r1"))
    assert rewriter_of(cluster, server).payload(QUESTIONS[0]) == endpoint.payload(QUESTIONS[0])


def test_without_a_cluster_it_is_refused_and_without_questions_none_is_asked_for() -> None:
    assert BatchRewriter("llama", "").answer([], lambda arrived: None) == []
    with pytest.raises(PermanentError, match="set REALSYN_RAY_LLM_ADDRESS"):
        BatchRewriter("llama", "").answer(QUESTIONS, lambda arrived: None)


def test_vllm_is_set_up_by_name_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray.data.llm

    made: list[Any] = []
    monkeypatch.setattr(ray.data.llm, "build_processor", lambda config, **rows: made.append(config) or len)
    vllm("meta-llama/Meta-Llama-3-8B-Instruct@5f0b02c")
    vllm("/models/llama@mine")
    assert [config.model_source for config in made] == ["meta-llama/Meta-Llama-3-8B-Instruct", "/models/llama"]
    assert [config.engine_kwargs.get("revision") for config in made] == ["5f0b02c", None]
    assert all(config.should_continue_on_error for config in made)
