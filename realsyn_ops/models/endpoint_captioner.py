"""A captioner behind an OpenAI-compatible endpoint that sees: images go there as bytes, never as an address."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from realsyn_ops.kinds import Answer, Keep
from realsyn_ops.models.chat_client import ChatClient
from realsyn_ops.models.chat_endpoint import Limits
from realsyn_ops.models.prompt import read_prompt
from realsyn_ops.presets import Served
from realsyn_ops.records import fold_space

if TYPE_CHECKING:
    from PIL.Image import Image

_VERSION = "caption-v1"
_DECODING: dict[str, Any] = {"temperature": 0, "max_tokens": 60, "seed": 2502}
_SIDE_PX, _QUALITY = 448, 90


class EndpointCaptioner:
    """What is sent is drawn anew from the pixels, at most 448 px a side: no metadata and nothing else of the file."""

    prompt = _VERSION

    def __init__(self, served: Served, *, api_key: str = "", limits: Limits | None = None) -> None:
        self.name = served.name
        self._model = served.model
        self._client = ChatClient(served.urls, api_key=api_key, limits=limits or Limits())

    def payload(self, question: "Image") -> str:
        what = {
            "model": self.name,
            "prompt": _VERSION,
            "prompt_digest": read_prompt(_VERSION)[0],
            "image": hashlib.sha256(_jpeg(question)).hexdigest(),
            "decoding": _DECODING,
        }
        return json.dumps(what, sort_keys=True, separators=(",", ":"))

    def answer(self, questions: "Sequence[Image]", keep: Keep) -> list[Answer]:
        turns = read_prompt(_VERSION)[2]

        def body(place: int) -> dict[str, Any]:
            url = f"data:image/jpeg;base64,{base64.b64encode(_jpeg(questions[place])).decode()}"
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": turns[-1][1]}]
            messages = [{"role": role, "content": text} for role, text in turns[:-1]]
            return {"model": self._model, "messages": [*messages, {"role": "user", "content": content}], **_DECODING}

        return self._client.ask(body, len(questions), keep)

    def caption(self, images: "list[Image]", tags: list[list[str]]) -> list[str]:
        """Captions that nobody keeps; empty where the endpoint refused the image."""
        return [fold_space(answer.text) for answer in self.answer(images, lambda arrived: None)]


def _jpeg(image: "Image") -> bytes:
    small = image.convert("RGB")
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    sink = io.BytesIO()
    small.save(sink, "JPEG", quality=_QUALITY)
    return sink.getvalue()
