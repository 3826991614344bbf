"""A rewriter behind any OpenAI-compatible endpoint (vLLM, llama.cpp's server, a hosted one): chat completions."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.kinds import Merge
from realsyn_ops.models.prompt import canonical_payload, merge_message, prompt_messages

_DECODING: dict[str, object] = {"temperature": 0, "max_tokens": 160, "seed": 2502}
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class EndpointRewriter:
    """At most `n_parallel` requests at once; each is tried `n_tries` times, waiting `backoff_s`, twice that, ..."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "",
        n_parallel: int = 16,
        n_tries: int = 5,
        timeout_s: float = 60.0,
        backoff_s: float = 1.0,
    ) -> None:
        self.name = model
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._n_parallel = n_parallel
        self._n_tries = n_tries
        self._backoff_s = backoff_s
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Limits(max_connections=n_parallel)
        self._client = httpx.Client(timeout=timeout_s, headers=headers, limits=limits)

    def payload(self, merge: Merge) -> str:
        return canonical_payload(merge, model=self.name, decoding=_DECODING)

    def rewrite(self, merges: list[Merge]) -> list[str]:
        """Answers in the order of the merges; the first error that stays after all tries is raised."""
        with ThreadPoolExecutor(self._n_parallel) as pool:
            futures = [pool.submit(self._answer, merge) for merge in merges]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _answer(self, merge: Merge) -> str:
        body = {"model": self.name, "messages": [*prompt_messages(), merge_message(merge)], **_DECODING}
        problem = ""
        for attempt in range(self._n_tries):
            if attempt:
                time.sleep(self._backoff_s * 2 ** (attempt - 1))
            try:
                response = self._client.post(self._url, json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__} {error}".strip()
                continue
            if response.is_success:
                return _content(response, self._url)
            problem = f"HTTP {response.status_code}: {response.text[:500]}"
            if response.status_code not in _RETRIED:
                raise PermanentError(f"{self._url} refused the request: {problem}")
        raise TransientError(f"{self._url} did not answer in {self._n_tries} tries; the last: {problem}")


def _content(response: httpx.Response, url: str) -> str:
    try:
        content = response.json()["choices"][0]["message"]["content"]
    except (json.JSONDecodeError, UnicodeDecodeError, LookupError, TypeError) as error:
        raise PermanentError(f"{url} does not answer as chat completions do: {response.text[:200]}") from error
    return content or ""
