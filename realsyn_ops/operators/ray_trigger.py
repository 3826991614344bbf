"""Waiting for a job on a Ray cluster, in Airflow's triggerer: by its file in the bucket, so no Ray is needed there."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection
from airflow.triggers.base import BaseTrigger, TriggerEvent

from realsyn_ops.errors import TransientError
from realsyn_ops.operators.run import bucket_behind
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.ray.progress import JobFiles, Progress

POLL_S = 3.0
SILENT_S = 120.0
"""A job that says nothing for so long is lost: its head node died, or the whole cluster."""
SETTLE_S = 12.0
"""No event comes earlier. Airflow 3.3.2 fails a task that is queued again while the process that deferred it still
exits ("finished with state success, but the task instance's state attribute is queued"); with Ray that takes 5 s."""


class JobTrigger(BaseTrigger):
    """Waits for a job by its file in the bucket, and tells the task's log how far it is."""

    def __init__(
        self,
        *,
        prefix: str,
        name: str,
        run: str,
        owner: str,
        poll_s: float = POLL_S,
        silent_s: float = SILENT_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        super().__init__()
        self.prefix = prefix
        self.name = name
        self.run_id = run
        self.owner = owner
        self.poll_s = poll_s
        self.silent_s = silent_s
        self.settle_s = settle_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {
            "prefix": self.prefix,
            "name": self.name,
            "run": self.run_id,
            "owner": self.owner,
            "poll_s": self.poll_s,
            "silent_s": self.silent_s,
            "settle_s": self.settle_s,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        files = await self._files()
        settled = time.monotonic() + self.settle_s
        heard, line, beat = time.monotonic(), "it has said nothing", -1
        while True:
            progress = await asyncio.to_thread(_read, files)
            if progress is not None and progress.run == self.run_id:
                if progress.line() != line:
                    line = progress.line()
                    self.log.info("%s: %s", self.name, line)
                if progress.state != "running":
                    await asyncio.sleep(max(0.0, settled - time.monotonic()))
                    yield TriggerEvent({"state": progress.state, "line": line, "error": progress.error})
                    return
                if progress.beat != beat:
                    heard, beat = time.monotonic(), progress.beat
            if time.monotonic() - heard > self.silent_s:
                yield TriggerEvent({"state": "lost", "line": line, "error": None})
                return
            await asyncio.sleep(self.poll_s)

    async def on_kill(self) -> None:
        """A user cleared or marked the waiting task. A triggerer that restarts does not come here."""
        files = await self._files()
        await asyncio.to_thread(files.cancel, self.owner)
        self.log.info("%s: asked to stop", self.name)

    async def _files(self) -> "JobFiles":
        from realsyn_ops.ray.progress import JobFiles

        connection = await Connection.async_get(settings().s3_conn_id)
        return JobFiles(bucket_behind(connection, await connection.aextra_dejson()), self.prefix, self.name)


def _read(files: "JobFiles") -> "Progress | None":
    """What the job says; None when the bucket does not answer, which is no reason to stop waiting."""
    try:
        return files.read()
    except TransientError:
        return None
