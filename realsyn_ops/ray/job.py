"""What runs on the cluster: a job that hands out shards, and the pool of workers that make them.

The job is a detached actor on the head node, so it outlives whoever started it. Its workers are actors of their own
processes that keep what they have loaded; they belong to the job and end with it. A shard whose worker is lost goes to
another one; a transient error is tried again; any other error ends the job, since no shard may be missing.
"""

import importlib
import logging
import secrets
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import code_digest
from realsyn_ops.ray.progress import CANCELLED, DONE, FAILED, Progress, Request
from realsyn_ops.settings import settings

log = logging.getLogger(__name__)

BEAT_S = 2.0
MAX_WORKERS = 256
"""Workers asked for at once. More than fit wait for a place: to an autoscaler that is the demand."""
MAX_TRIES = 3
"""How often a shard is tried whose error is transient, or whose workers are lost."""
RETRY_PAUSE_S = 2.0
START_S = 60.0
"""A job ends when for so long all its new workers died before their first answer."""


@dataclass(frozen=True)
class Identity:
    """Where a worker lives, and what its answers depend on besides the shard."""

    node: str
    code: str
    device: str
    threads: int


@dataclass(frozen=True)
class Failure:
    """Why a shard was not made. A value, since not every exception survives pickling."""

    kind: str
    message: str
    shard: str = ""
    traceback: str = ""


class _CannotGoOn(Exception):  # noqa: N818
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Worker:
    """One process of the pool. Models stay loaded between its shards (`models.load`)."""

    def identity(self) -> Identity:
        context = ray.get_runtime_context()
        node = f"{ray.util.get_node_ip_address()}/{context.get_node_id()[:6]}"
        return Identity(node, code_digest(), settings().device, settings().threads)

    def make(
        self, function: str, bucket: Bucket, work: Mapping[str, str], given: Mapping[str, Any]
    ) -> "bool | Failure":
        """Make a shard; whether there was anything to do."""
        try:
            module, _, name = function.partition(":")
            step = getattr(importlib.import_module(module), name)
            return step.compute(Staging(bucket, work["staging"]), dict(work), **given)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job decides
            kinds = {PermanentError: "permanent", TransientError: "transient"}
            kind = next((kind for of, kind in kinds.items() if isinstance(error, of)), "other")
            message = str(error) if kind != "other" else f"{type(error).__name__}: {error}"
            return Failure(kind, message, work["shard"], traceback.format_exc())


class Job:
    """The actor behind a job's name. It starts with its first owner and ends itself when its work is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._me = ray.get_runtime_context().current_actor
        self._progress: Progress | None = None
        self._is_ending = False

    def attach(self, owner: str, request: Request) -> str:
        """Work for this owner from now on, and start if that was not done yet: the run's id, empty when too late."""
        with self._lock:
            if self._is_ending:
                return ""
            if self._progress is None:
                self._progress = Progress(secrets.token_hex(8), owner, len(request.works))
                threading.Thread(target=self._run, args=(request, self._progress), daemon=True).start()
            self._progress.owner = owner
            return self._progress.run

    def _run(self, request: Request, progress: Progress) -> None:
        pool = _Pool(request, progress)
        outcome, error = FAILED, None
        try:
            outcome = self._loop(pool, request, progress)
        except _CannotGoOn as end:
            error = end.failure
        except Exception as unexpected:  # noqa: BLE001 - whoever waits must hear of it
            error = Failure("other", f"{type(unexpected).__name__}: {unexpected}", "", traceback.format_exc())
        with self._lock:
            self._is_ending = True
        pool.close()
        progress.state = outcome
        if error is not None:
            progress.error = dict(vars(error))
        for _ in range(MAX_TRIES):
            with suppress(TransientError):
                _tell(request, progress)
                break
            time.sleep(RETRY_PAUSE_S)
        ray.kill(self._me)

    def _loop(self, pool: "_Pool", request: Request, progress: Progress) -> str:
        while pool.n_open:
            try:
                _tell(request, progress)
                if request.files.is_cancelled(progress.owner):
                    return CANCELLED
            except TransientError as error:
                log.warning("job %s: %s", request.name, error)
            until = time.monotonic() + BEAT_S
            while pool.n_open and time.monotonic() < until:
                pool.step(timeout_s=until - time.monotonic())
        return DONE


def _tell(request: Request, progress: Progress) -> None:
    progress.beat += 1
    request.files.write(progress)


@dataclass
class _Open:
    """A shard that is not done."""

    work: Mapping[str, str]
    n_tries: int = 0
    not_before: float = 0.0


@dataclass(frozen=True)
class _Hired:
    """A worker that has answered."""

    actor: Any
    node: str


class _Pool:
    """The workers and the shards that are not done. Only `step` waits."""

    def __init__(self, request: Request, progress: Progress) -> None:
        self._request = request
        self._progress = progress
        self._waiting = deque(_Open(work) for work in request.works)
        self._starting: dict[Any, Any] = {}
        self._idle: list[_Hired] = []
        self._busy: dict[Any, tuple[_Hired, _Open]] = {}
        self._first: Identity | None = None
        self._failing_since: float | None = None
        self._hire_after = 0.0

    @property
    def n_open(self) -> int:
        return len(self._waiting) + len(self._busy)

    def step(self, *, timeout_s: float) -> None:
        """Hire, hand out, and take what comes back first. Raises _CannotGoOn."""
        self._hire()
        self._hand_out()
        refs = [*self._busy, *self._starting]
        if not refs:  # all that is left waits for its next try
            time.sleep(min(max(timeout_s, 0), 0.2))
            return
        ready, _ = ray.wait(refs, timeout=max(timeout_s, 0))
        for ref in ready:
            if ref in self._starting:
                self._welcome(ref)
            else:
                self._take(ref)

    def close(self) -> None:
        """End all workers, whatever they are at."""
        hired = [*self._idle, *(worker for worker, _ in self._busy.values())]
        for actor in [*self._starting.values(), *(worker.actor for worker in hired)]:
            _end(actor)
        self._starting, self._idle, self._busy = {}, [], {}

    def _hire(self) -> None:
        if not self._waiting:  # nobody is needed but those who are busy
            for actor in [*self._starting.values(), *(worker.actor for worker in self._idle)]:
                _end(actor)
            self._starting, self._idle = {}, []
            return
        n_workers = len(self._starting) + len(self._idle) + len(self._busy)
        if time.monotonic() < self._hire_after:
            return
        for _ in range(min(self.n_open, MAX_WORKERS) - n_workers):
            options = {"num_cpus": self._request.threads, "num_gpus": self._request.n_gpus}
            actor = ray.remote(Worker).options(**options).remote()
            self._starting[actor.identity.remote()] = actor

    def _hand_out(self) -> None:
        now = time.monotonic()
        for _ in range(len(self._waiting)):
            if not self._idle:
                return
            shard = self._waiting.popleft()
            if shard.not_before > now:
                self._waiting.append(shard)
                continue
            worker = self._idle.pop()
            request = self._request
            ref = worker.actor.make.remote(request.function, request.bucket, shard.work, request.given)
            self._busy[ref] = (worker, shard)

    def _welcome(self, ref: Any) -> None:
        actor = self._starting.pop(ref)
        now = time.monotonic()
        try:
            identity: Identity = ray.get(ref)
        except RayError as error:
            _end(actor)
            self._failing_since = self._failing_since or now
            self._hire_after = now + RETRY_PAUSE_S
            if now - self._failing_since > START_S:
                raise _CannotGoOn(Failure("transient", f"no worker starts on the Ray cluster: {error}")) from error
            return
        self._failing_since = None
        self._check(identity)
        self._idle.append(_Hired(actor, identity.node))

    def _check(self, identity: Identity) -> None:
        """All workers give the same bytes: the caller's sources, its number of threads, one kind of device."""
        first = self._first = self._first or identity
        broken = ""
        if identity.code != self._request.code:
            broken = f"the Ray node {identity.node} has other sources of realsyn_ops than Airflow's worker"
        elif identity.threads != self._request.threads:
            broken = (
                f"REALSYN_THREADS is {identity.threads} on the Ray node {identity.node} and {self._request.threads} "
                "on Airflow's worker"
            )
        elif identity.device != first.device:
            devices = f"{first.device} on the Ray node {first.node} and {identity.device} on {identity.node}"
            broken = f"REALSYN_DEVICE is {devices}"
        if broken:
            raise _CannotGoOn(Failure("permanent", f"{broken}: a stage's shards must give the same bytes anywhere"))

    def _take(self, ref: Any) -> None:
        worker, shard = self._busy.pop(ref)
        shard.n_tries += 1
        pause_s = RETRY_PAUSE_S * shard.n_tries
        try:
            outcome = ray.get(ref)
            self._idle.append(worker)
        except RayError as error:
            _end(worker.actor)
            self._progress.n_lost += 1
            outcome = Failure("transient", f"its worker on {worker.node} ended: {error}", shard.work["shard"])
            pause_s = 0
        if not isinstance(outcome, Failure):
            self._progress.nodes[worker.node] = self._progress.nodes.get(worker.node, 0) + 1
            self._progress.n_done += 1
            self._progress.n_found += not outcome
        elif outcome.kind != "transient" or shard.n_tries >= MAX_TRIES:
            raise _CannotGoOn(outcome)
        else:
            log.warning("shard %s: %s", shard.work["shard"], outcome.message)
            self._progress.n_retried += 1
            shard.not_before = time.monotonic() + pause_s
            self._waiting.append(shard)


def _end(actor: Any) -> None:
    with suppress(RayError, ValueError):
        ray.kill(actor)
