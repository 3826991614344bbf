"""What came back for one request of chat completions, sorted by what the client does about it."""

import email.utils
import json
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import httpx

_FULL = frozenset({429, 503})
_AGAIN = frozenset({408, 409, 425, 500, 502, 504, 520, 521, 522, 523, 524, 529})
_THIS_QUESTION = frozenset({400, 413, 422})


class Kind(Enum):
    ANSWER = auto()
    """The model's words, whole or cut."""
    FULL = auto()
    """The server takes no more for now."""
    AGAIN = auto()
    """An outage, silence, or an answer broken on its way: the same request may succeed."""
    MALFORMED = auto()
    """Success by its status, but not what chat completions answer."""
    REFUSED = auto()
    """Not this request: too long for the model, against the server's rules, or a field it does not know."""
    CLOSED = auto()
    """Nobody's request: a wrong key, address or model."""


@dataclass(frozen=True, slots=True)
class Reply:
    kind: Kind
    text: str = ""
    is_cut: bool = False
    n_prompt_tokens: int = 0
    n_answer_tokens: int = 0
    n_bytes: int = 0
    detail: str = ""
    wait_s: float = 0.0


def read_reply(response: httpx.Response) -> Reply:
    """The reply behind a whole response."""
    n_bytes = len(response.content)
    if response.is_success:
        return _answer(response, n_bytes)
    status = response.status_code
    detail = f"HTTP {status}: {response.text[:500]}"
    if status in _FULL:
        return Reply(Kind.FULL, n_bytes=n_bytes, detail=detail, wait_s=_retry_after(response))
    kind = Kind.AGAIN if status in _AGAIN else Kind.REFUSED if status in _THIS_QUESTION else Kind.CLOSED
    return Reply(kind, n_bytes=n_bytes, detail=detail, wait_s=_retry_after(response))


def lost(error: Exception) -> Reply:
    """The reply to a request that the network, or the server's silence, ended."""
    return Reply(Kind.AGAIN, detail=f"{type(error).__name__} {error}".strip())


def _answer(response: httpx.Response, n_bytes: int) -> Reply:
    detail = f"does not answer as chat completions do: {response.text[:200]}"
    n_prompt = n_answer = 0
    try:
        body = response.json()
        n_prompt, n_answer = (int(n or 0) for n in _usage(body))
        choice = body["choices"][0]
        is_cut = choice.get("finish_reason") == "length"
        text = read_sentence(choice["message"]["content"] or "", is_cut)
    except (ValueError, LookupError, TypeError, AttributeError):
        text = None
    if text is None:
        return Reply(Kind.MALFORMED, "", False, n_prompt, n_answer, n_bytes, detail)
    return Reply(Kind.ANSWER, text, is_cut, n_prompt, n_answer, n_bytes)


def _usage(body: dict[str, Any]) -> tuple[Any, Any]:
    usage = body.get("usage") or {}
    return usage.get("prompt_tokens"), usage.get("completion_tokens")


def read_sentence(content: str, is_cut: bool) -> str | None:
    """The text of a structured answer, or the content as it is; None for an object that is broken or another one."""
    content = content.strip()
    if not content.startswith("{"):
        return content
    try:
        text = json.loads(content)["sentence"]
    except (ValueError, LookupError, TypeError):
        return content if is_cut else None
    return text.strip() if isinstance(text, str) else None


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks for; 0 when it says nothing that can be read."""
    value = response.headers.get("Retry-After", "")
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
