"""What reads runs in threads, and only so many at once: Airflow's own pages share the process."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")

MAX_READERS = 6
MAX_HEAVY = 1
"""Scans of a whole day, and encoders: one at a time."""

_limiters = threading.local()


async def read(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The call's result, off the event loop."""
    return await _run("readers", MAX_READERS, partial(call, *args, **kwargs))


async def read_heavy(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what takes seconds and memory."""
    return await _run("heavy", MAX_HEAVY, partial(call, *args, **kwargs))


async def _run(name: str, n: int, call: Callable[[], Any]) -> Any:
    return await to_thread.run_sync(call, limiter=_limiter(name, n))


def _limiter(name: str, n: int) -> CapacityLimiter:
    """One for each event loop, which is one for each process that serves."""
    token = anyio.lowlevel.current_token()
    held = getattr(_limiters, name, None)
    if held is None or held[0] != token:
        held = (token, CapacityLimiter(n))
        setattr(_limiters, name, held)
    return held[1]
