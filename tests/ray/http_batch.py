"""`ray.data.llm` with a server of chat completions in the place of vLLM's engine: everything else is the same."""

import json
from collections.abc import Callable
from typing import Any

from realsyn_ops.ray.batch_rows import answer_row, question_row


def process_by(url: str) -> Callable[[str], Callable[[Any], Any]]:
    """What `BatchRewriter` takes for vLLM's processor."""

    def process(model: str) -> Callable[[Any], Any]:
        from ray.data.llm import HttpRequestProcessorConfig, build_processor

        config = HttpRequestProcessorConfig(url=f"{url}/chat/completions", batch_size=4, concurrency=1, max_retries=0)
        return build_processor(config, preprocess=asked, postprocess=answered)

    return process


def asked(row: dict[str, Any]) -> dict[str, Any]:
    wanted = question_row(row)
    return {"payload": {"messages": wanted["messages"], "sampling": json.dumps(_plain(wanted["sampling_params"]))}}


def answered(row: dict[str, Any]) -> dict[str, Any]:
    body = row["http_response"]
    usage = body["usage"]
    text = body["choices"][0]["message"]["content"]
    counts = {"num_input_tokens": usage["prompt_tokens"], "num_generated_tokens": usage["completion_tokens"]}
    return answer_row({"place": row["place"], "generated_text": text, **counts})


def _plain(value: Any) -> Any:
    """Arrays that Ray makes of lists as lists again."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if hasattr(value, "__len__") and not isinstance(value, str) else value
