"""One endpoint as its clients know it: how many requests it takes at once, how long it may be silent, when it pauses.

The number of requests grows by itself, twice as many a round trip at first, then by a few, as long as answers come soon
and the server refuses little. A batching server that has more than it can batch is never idle; one that queues without
end is found out by its latency. What was learnt stays for the next call.
"""

from dataclasses import dataclass, field

import httpx

GROWTH = 4
"""By how many requests the number grows in a round trip, once it has found its bounds."""
MANY_REFUSALS = 0.2
"""Of the latest twenty or so requests: a server that refuses more is full; fewer are accidents."""
_MEMORY = 0.95
_SHRINK = 0.9


@dataclass(frozen=True)
class Limits:
    """``max_open`` requests an endpoint; each is tried ``n_tries`` times, waiting ``backoff_s``, twice that, ...

    No request lasts longer than ``timeout_s``, nor much longer than the slowest of the latest answers; but
    ``min_timeout_s`` are always given. When more than ``max_failed_share`` of the questions find no answer, the
    endpoint is out of order; otherwise it is the questions.
    """

    max_open: int = 256
    first_open: int = 16
    n_tries: int = 8
    timeout_s: float = 300.0
    min_timeout_s: float = 20.0
    backoff_s: float = 1.0
    max_wait_s: float = 60.0
    max_failed_share: float = 0.05


@dataclass
class Endpoint:
    url: str
    limits: Limits
    n_open: int = 0
    paused_until: float = 0.0
    n_answers: int = 0
    takes_schema: bool = True
    idle: list[httpx.AsyncClient] = field(default_factory=list)
    _may_open: float = 0.0
    _slowest_s: float = 0.0
    _refusals: float = 0.0
    _is_starting: bool = True
    _shrunk: float = 0.0

    def __post_init__(self) -> None:
        self._may_open = min(self.limits.first_open, self.limits.max_open)

    @property
    def may_open(self) -> int:
        return int(self._may_open)

    @property
    def load(self) -> float:
        return self.n_open / self.may_open

    @property
    def timeout_s(self) -> float:
        """Four times the slowest of the latest answers, within the limits; before the first answer, the longest."""
        usual = 4 * self._slowest_s if self.n_answers else self.limits.timeout_s
        return min(self.limits.timeout_s, max(self.limits.min_timeout_s, usual))

    def has_room(self, now: float) -> bool:
        return self.n_open < self.may_open and now >= self.paused_until

    def answered(self, seconds: float, now: float) -> None:
        """An answer arrived after so long. Grows where all that may be open was."""
        self.n_answers += 1
        self._refusals *= _MEMORY
        self._slowest_s = max(seconds, self._slowest_s * 0.99)
        if seconds > self.limits.timeout_s / 4:
            self._shrink(now, self._may_open)
        elif self.n_open >= self.may_open:
            step = 1.0 if self._is_starting else GROWTH / self._may_open
            self._may_open = min(self.limits.max_open, self._may_open + step)

    def refused(self, wait_s: float, now: float) -> None:
        """It takes no more for now. Where others are still open there, their end says when; else after the wait."""
        self._refusals = self._refusals * _MEMORY + (1 - _MEMORY)
        n_taken = self.n_open - 1
        if self._refusals > MANY_REFUSALS:
            self._may_open = max(1.0, min(self._may_open, n_taken))
            self._shrink(now, self._may_open)
        if n_taken == 0:
            self.paused_until = now + wait_s

    def failed(self, wait_s: float, now: float) -> None:
        """An outage or silence. An endpoint with nothing but failures is left alone for a while."""
        self._refusals = self._refusals * _MEMORY + (1 - _MEMORY)
        if self._refusals > MANY_REFUSALS:
            self._shrink(now, self._may_open)
        if self.n_open == 1 and self._refusals > MANY_REFUSALS:
            self.paused_until = now + wait_s

    def _shrink(self, now: float, from_open: float) -> None:
        """By a tenth, once in a round trip."""
        self._is_starting = False
        if now - self._shrunk >= self._slowest_s:
            self._may_open, self._shrunk = max(1.0, from_open * _SHRINK), now
