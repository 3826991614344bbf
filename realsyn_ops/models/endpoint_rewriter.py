"""A rewriter behind any OpenAI-compatible endpoint (vLLM, llama.cpp's server, a hosted one): chat completions."""

from collections.abc import Sequence
from typing import Any

from realsyn_ops.kinds import Answer, Keep, Question
from realsyn_ops.models.chat_client import ChatClient
from realsyn_ops.models.chat_endpoint import Limits
from realsyn_ops.models.prompt import VERSION, Message, canonical_payload, prompt_messages, question_messages
from realsyn_ops.presets import Served

DECODING: dict[str, Any] = {"temperature": 0, "max_tokens": 160, "seed": 2502}
SCHEMA = {
    "type": "object",
    "properties": {"sentence": {"type": "string"}},
    "required": ["sentence"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "merge", "schema": SCHEMA, "strict": True}}


def chat_payload(question: Question, name: str) -> str:
    """What an answer of the model of this name depends on, whether a server gives it or a batch."""
    return canonical_payload(question, model=name, decoding={**DECODING, "format": FORMAT["type"]})


def chat_messages(question: Question) -> list[Message]:
    return [*prompt_messages(), *question_messages(question)]


class EndpointRewriter:
    """The name holds the revision that the user gave: a server does not say which weights it loaded."""

    prompt = VERSION
    takes_reasons = True

    def __init__(self, served: Served, *, api_key: str = "", limits: Limits | None = None) -> None:
        self.name = served.name
        self._model = served.model
        self._client = ChatClient(served.urls, api_key=api_key, limits=limits or Limits(), schema=FORMAT)

    def payload(self, question: Question) -> str:
        return chat_payload(question, self.name)

    def answer(self, questions: Sequence[Question], keep: Keep) -> list[Answer]:
        def body(place: int) -> dict[str, Any]:
            return {"model": self._model, "messages": chat_messages(questions[place]), **DECODING}

        return self._client.ask(body, len(questions), keep)
