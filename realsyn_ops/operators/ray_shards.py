"""The task that hands a stage's shards to a Ray cluster and waits for them without holding a slot.

It starts the job, or finds the one that is at work on the same shards already (its name follows from them), and defers
to `ray_trigger.JobTrigger`, which reads the job's file in the bucket: the triggerer needs no Ray. So the task may die
at any time, and the triggerer too. A user who clears or marks the task ends the job (`on_kill`); when the cleared task
runs again before that, it takes the job over: a job obeys its newest owner only.
"""

import importlib
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.errors import PermanentError, RealSynError, TransientError
from realsyn_ops.operators.run import Work, open_bucket
from realsyn_ops.plans import code_digest
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.ray.progress import JobFiles


class RayShards(BaseOperator):
    """Hands `works` to the cluster, to be made by `step`, the ``module:name`` of a `ShardStep`. Returns the works."""

    template_fields = ("works",)
    ui_color = "#d6f0ff"

    def __init__(self, *, step: str, works: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step
        self.works = works

    def execute(self, context: Any) -> list[Work]:
        from realsyn_ops.operators.ray_trigger import JobTrigger
        from realsyn_ops.ray.client import submit
        from realsyn_ops.ray.progress import Request

        works = [dict(work) for work in self.works]
        if not works:
            raise AirflowSkipException("no shards: nothing to do")
        module, _, name = self.step.partition(":")
        step = getattr(importlib.import_module(module), name)
        request = Request(
            stage=step.stage,
            function=self.step,
            works=works,
            bucket=open_bucket(),
            code=code_digest(),
            given=step.given(),
            threads=settings().threads,
            n_gpus=settings().ray_gpus,
        )
        owner = str(context["ti"].id)
        self._files, self._owner = request.files, owner
        run = submit(settings().ray_address, request, owner)
        self.log.info("%d shards are with the job %s of %s", len(works), request.name, settings().ray_address)
        trigger = JobTrigger(prefix=request.prefix, name=request.name, run=run, owner=owner)
        return self.defer(trigger=trigger, method_name="finish")

    def finish(self, context: Any, event: dict[str, Any]) -> list[Work]:
        """Once the job is over: the works, or the error of the shard that ended it."""
        if event["state"] == "done":
            self.log.info("done: %s", event["line"])
            return [dict(work) for work in self.works]
        if event["state"] == "failed":
            error = event["error"]
            if error["traceback"]:
                self.log.error("on the Ray cluster:\n%s", error["traceback"])
            kinds = {"permanent": PermanentError, "transient": TransientError}
            where = f"shard {error['shard']}: " if error["shard"] else ""
            raise kinds.get(error["kind"], RealSynError)(where + error["message"])
        raise TransientError(f"the job on the Ray cluster is {event['state']}: {event['line']}")

    def on_kill(self) -> None:
        """The task is killed while it hands over: nobody waits for the job."""
        files: JobFiles | None = getattr(self, "_files", None)
        if files is not None:
            files.cancel(self._owner)
