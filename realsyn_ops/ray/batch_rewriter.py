"""A rewriter without a server: vLLM's offline batches on a Ray cluster (`ray.data.llm`), for those who have GPUs there.

Its nodes run an image of their own (`docker/ray-llm.Dockerfile`): vLLM wants other versions than `requirements.lock`.
Prompt, decoding and hence the keys of answers are those of an endpoint that serves the same model.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.kinds import Answer, Keep, Question
from realsyn_ops.models.chat_reply import read_sentence
from realsyn_ops.models.endpoint_rewriter import DECODING, SCHEMA, chat_messages, chat_payload
from realsyn_ops.models.prompt import VERSION
from realsyn_ops.ray.batch_rows import ERROR, Row, answer_row, question_row

log = logging.getLogger(__name__)

_BATCH = 64
_MAX_MODEL_LEN = 4_096
_MAX_FAILED = 0.1
"""The share of questions that may end without an answer before the whole is tried again."""

Process = Callable[[Any], Any]


class BatchRewriter:
    """``model``: NAME_OR_PATH[@REVISION], a path as the cluster's nodes see it. ``process``: of questions as a data set
    of Ray their answers; by default vLLM's."""

    prompt = VERSION
    takes_reasons = True

    def __init__(self, model: str, address: str, process: Callable[[str], Process] | None = None) -> None:
        self.name = model
        self._address, self._process = address, process or vllm

    def payload(self, question: Question) -> str:
        return chat_payload(question, self.name)

    def answer(self, questions: Sequence[Question], keep: Keep) -> list[Answer]:
        """Answers in order, kept batch by batch as they come. Raises PermanentError without a cluster of its own, and
        TransientError when the engine does not start or more than a tenth of the questions have no answer."""
        if not questions:
            return []
        if not self._address:
            raise PermanentError(f"ray-llm:{self.name} needs a Ray cluster with vLLM: set REALSYN_RAY_LLM_ADDRESS")
        import ray.data  # seconds, and it reads the cluster's token once

        from realsyn_ops.ray.client import connected

        if ray.is_initialized():
            raise PermanentError(f"ray-llm:{self.name} is asked by mapped tasks only: unset REALSYN_RAY_ADDRESS")
        rows = [
            {"place": place, "messages": chat_messages(question), "decoding": DECODING, "schema": SCHEMA}
            for place, question in enumerate(questions)
        ]
        answers = [Answer("", "failed") for _ in questions]
        errors: list[str] = []
        with connected(self._address):
            try:
                answered = self._process(self.name)(ray.data.from_items(rows))
                for batch in answered.iter_batches(batch_size=_BATCH, batch_format="pyarrow"):
                    errors += [row[ERROR] for row in batch.to_pylist() if row.get(ERROR)]
                    arrived = _arrived(batch)
                    keep(arrived)
                    for place, answer in arrived:
                        answers[place] = answer
            except ray.exceptions.RayError as error:
                raise TransientError(f"ray-llm:{self.name} ended on {self._address}: {error}") from error
        n_failed = sum(answer.finish == "failed" for answer in answers)
        if errors:
            log.warning("%d of %d questions have no answer; the first: %s", n_failed, len(questions), errors[0])
        if n_failed > _MAX_FAILED * len(questions):
            why = errors[0] if errors else "they did not come back"
            raise TransientError(f"ray-llm:{self.name} left {n_failed} of {len(questions)} questions: {why}")
        return answers


def vllm(model: str) -> Process:
    """vLLM's engine on the cluster's GPUs."""
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    source, _, revision = model.partition("@")
    engine: dict[str, Any] = {"seed": DECODING["seed"], "max_model_len": _MAX_MODEL_LEN}
    if revision and not source.startswith("/"):
        engine["revision"] = revision
    config = vLLMEngineProcessorConfig(
        model_source=source, engine_kwargs=engine, batch_size=_BATCH, should_continue_on_error=True
    )
    processor: Process = build_processor(config, preprocess=question_row, postprocess=answer_row)
    return processor


def _arrived(batch: pa.Table) -> list[tuple[int, Answer]]:
    arrived = []
    for row in batch.to_pylist():
        answer = _answer(row)
        if answer is not None:
            arrived.append((int(row["place"]), answer))
    return arrived


def _answer(row: Row) -> Answer | None:
    """None where there is none: an error, or an object that is broken or another one."""
    if row.get(ERROR):
        return None
    is_cut = row["n_answer_tokens"] >= DECODING["max_tokens"]
    text = read_sentence(row["content"], is_cut)
    if text is None:
        return None
    return Answer(text, "length" if is_cut else "stop", row["n_prompt_tokens"], row["n_answer_tokens"])
