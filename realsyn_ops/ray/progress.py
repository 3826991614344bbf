"""What a job on Ray is asked to do and what it says of itself, as small files beside the run's shards. No ray here.

A job is one stage of one run: its name follows from the bucket and the shards, so whoever hands the same shards over
again finds the job that is at work on them. ``jobs/NAME.json`` in the run's staging folder is rewritten by the job
while it lives; ``jobs/NAME.cancel`` names the owner who no longer wants it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from realsyn_ops.io.storage import Bucket

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"


@dataclass(frozen=True)
class JobFiles:
    """Where a job's files lie."""

    bucket: Bucket
    prefix: str
    name: str

    def read(self) -> "Progress | None":
        """The job's last word, None when it has said nothing yet."""
        data = self.bucket.find(f"{self._key}.json")
        return Progress(**json.loads(data)) if data is not None else None

    def write(self, progress: "Progress") -> None:
        self.bucket.put(f"{self._key}.json", json.dumps(asdict(progress), sort_keys=True, indent=1).encode())

    def cancel(self, owner: str) -> None:
        """Ask the job to stop, unless it has another owner by now."""
        self.bucket.put(f"{self._key}.cancel", owner.encode())

    def is_cancelled(self, owner: str) -> bool:
        return self.bucket.find(f"{self._key}.cancel") == owner.encode()

    @property
    def _key(self) -> str:
        return f"{self.prefix}/jobs/{self.name}"


@dataclass(frozen=True)
class Request:
    """A stage's shards and how to make them. Holds credentials: goes from memory to memory, never into a file.

    `function` is the ``module:name`` of an object with ``compute(staging, work, **given)``, which says whether there
    was anything to do; `given` is what only Airflow knows, by the name of the argument. A worker takes as many CPUs as
    it has `threads`, and `n_gpus`, for itself. `code` is the digest of the sources that ask.
    """

    stage: str
    function: str
    works: Sequence[Mapping[str, str]]
    bucket: Bucket
    code: str
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    threads: int = 1
    n_gpus: float = 0

    @property
    def prefix(self) -> str:
        return self.works[0]["staging"]

    @property
    def name(self) -> str:
        """The job's: the same for the same shards of the same bucket."""
        asked = [self.bucket.endpoint_url, self.bucket.name, self.function, [dict(work) for work in self.works]]
        return f"{self.stage}-{hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]}"

    @property
    def files(self) -> JobFiles:
        return JobFiles(self.bucket, self.prefix, self.name)


@dataclass
class Progress:
    """How far a job is. `run` tells its life from an earlier one of the same name; `beat` grows while it lives."""

    run: str
    owner: str
    n_shards: int
    state: str = RUNNING
    beat: int = 0
    n_done: int = 0
    n_found: int = 0
    """Of those done, how many were finished before the job came to them."""
    n_retried: int = 0
    n_lost: int = 0
    """Workers that ended by themselves: their node was lost, or their memory."""
    nodes: dict[str, int] = field(default_factory=dict)
    """Shards done by node."""
    error: dict[str, str] | None = None
    """Of a failed job: ``kind`` (permanent, transient, other), ``shard``, ``message`` and ``traceback``."""

    def line(self) -> str:
        """In words, for a log."""
        nodes = ", ".join(f"{n} by {node}" for node, n in sorted(self.nodes.items()))
        further = [f"{n} {words}" for n, words in self._further() if n]
        return "; ".join([f"{self.n_done} of {self.n_shards} shards" + (f" ({nodes})" if nodes else ""), *further])

    def _further(self) -> list[tuple[int, str]]:
        return [
            (self.n_found, "of them finished before"),
            (self.n_retried, "tried again"),
            (self.n_lost, "workers lost"),
        ]
