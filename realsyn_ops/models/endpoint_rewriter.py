"""A rewriter behind any OpenAI-compatible endpoint (vLLM, llama.cpp's server, a hosted one): chat completions."""

from collections.abc import Sequence
from typing import Any

from realsyn_ops.kinds import Answer, Keep, Question
from realsyn_ops.models.chat_client import ChatClient
from realsyn_ops.models.chat_endpoint import Limits
from realsyn_ops.models.prompt import VERSION, canonical_payload, prompt_messages, question_messages
from realsyn_ops.presets import Served

_DECODING: dict[str, Any] = {"temperature": 0, "max_tokens": 160, "seed": 2502}
_SCHEMA = {
    "type": "object",
    "properties": {"sentence": {"type": "string"}},
    "required": ["sentence"],
    "additionalProperties": False,
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "merge", "schema": _SCHEMA, "strict": True}}


class EndpointRewriter:
    """The name holds the revision that the user gave: a server does not say which weights it loaded."""

    prompt = VERSION
    takes_reasons = True

    def __init__(self, served: Served, *, api_key: str = "", limits: Limits | None = None) -> None:
        self.name = served.name
        self._model = served.model
        self._client = ChatClient(served.urls, api_key=api_key, limits=limits or Limits(), schema=_FORMAT)

    def payload(self, question: Question) -> str:
        return canonical_payload(question, model=self.name, decoding={**_DECODING, "format": _FORMAT["type"]})

    def answer(self, questions: Sequence[Question], keep: Keep) -> list[Answer]:
        def body(place: int) -> dict[str, Any]:
            messages = [*prompt_messages(), *question_messages(questions[place])]
            return {"model": self._model, "messages": messages, **_DECODING}

        return self._client.ask(body, len(questions), keep)
