"""Rows of an offline batch on their way into vLLM and out of it. Light: the cluster's workers import it."""

from typing import Any

Row = dict[str, Any]
ERROR = "__inference_error__"
"""The column in which `ray.data.llm` says why a row has no answer."""


def question_row(row: Row) -> Row:
    """What vLLM is asked."""
    return {
        "messages": row["messages"],
        "sampling_params": {**row["decoding"], "structured_outputs": {"json": row["schema"]}},
    }


def answer_row(row: Row) -> Row:
    """What is kept of its answer."""
    return {
        "place": row["place"],
        "content": row["generated_text"],
        "n_prompt_tokens": row["num_input_tokens"],
        "n_answer_tokens": row["num_generated_tokens"],
    }
