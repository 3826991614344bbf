"""Handing shards over to a Ray cluster, from a process that is no part of it."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from realsyn_ops.errors import TransientError
from realsyn_ops.ray.job import Job
from realsyn_ops.ray.progress import Request

log = logging.getLogger(__name__)

_NAMESPACE = "realsyn"
_CONNECT_S = 10
_ANSWER_S = 120
_TRIES = 10
_STARTS = 3
"""Servers that a `ray://` client asks for: now and then one dies of its fork (ray-project/ray, issue 63202)."""


def submit(address: str, request: Request, owner: str) -> str:
    """Start the request's job, or join it where it is at work; it then has this owner. Returns the run's id.

    Raises TransientError when the cluster does not answer; by a wrong token it is the same, as far as Ray tells.
    """
    with connected(address):
        for _ in range(_TRIES):
            options = {
                "name": request.name,
                "lifetime": "detached",
                "get_if_exists": True,
                "num_cpus": 0,
                "resources": {"node:__internal_head__": 0.001},
            }
            try:
                job = ray.remote(Job).options(**options).remote()
                run: str = ray.get(job.attach.remote(owner, request), timeout=_ANSWER_S)
            except RayActorError:
                run = ""
            except GetTimeoutError as error:
                raise TransientError(f"the job {request.name} does not answer on {address}") from error
            if run:
                return run
            time.sleep(1)  # an earlier job of this name is ending
        raise TransientError(f"the job {request.name} does not stay alive on {address}")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """In the cluster at this address, as a process that is no part of it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()  # Ray itself may wait for minutes
        _init(address)
    except (OSError, RuntimeError) as error:
        raise TransientError(
            f"the Ray cluster REALSYN_RAY_ADDRESS={address} does not answer, or refuses RAY_AUTH_TOKEN: {error}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _init(address: str) -> None:
    for start in range(1, _STARTS + 1):
        try:
            ray.init(address, namespace=_NAMESPACE, log_to_driver=False, configure_logging=False)
            return
        except (OSError, RuntimeError) as error:
            ray.shutdown()  # or whatever this process does with Ray next would be sent to the client that is not there
            if start == _STARTS or not isinstance(error, ConnectionAbortedError | RuntimeError):
                raise
            log.warning("the server for this client died at its start, so another is asked for: %s", error)
