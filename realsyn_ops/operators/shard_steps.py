"""A step of a Dag that makes one shard after another: as mapped tasks, or handed over to a Ray cluster as a whole.

The function is the same in both cases. Where it runs is decided by the deployment (`REALSYN_RAY_ADDRESS`), when the
Dag is loaded; what a Dag's other tasks get from it is the same list of works in the same order.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk import task

from realsyn_ops.operators.run import SHARD_TIMEOUT, Work, measured, open_staging
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.io.shards import Staging

Body = Callable[..., "dict[str, Any] | None"]


class ShardStep:
    """What `shard_step` makes of a function."""

    def __init__(
        self, stage: str, body: Body, place: Mapping[str, Any], asked: Mapping[str, Callable[[], Any]]
    ) -> None:
        self.stage = stage
        self.body = body
        self.place = place
        self.asked = asked
        self.__doc__ = body.__doc__

    def compute(self, staging: "Staging", work: Work, **given: Any) -> bool:
        """Make a shard unless it is done, and record what it cost. Whether there was anything to do."""
        if staging.is_done(self.stage, work["shard"]):
            return False
        with measured(staging, self.stage, work["shard"]) as cost:
            cost |= self.body(staging, work, **given) or {}
        return True

    def function(self, work: Work) -> Work:
        """The step as a mapped task runs it."""
        self.compute(open_staging(work), work, **self.given())
        return work

    def given(self) -> dict[str, Any]:
        """What the function needs and only Airflow knows."""
        return {name: ask() for name, ask in self.asked.items()}

    def expand(self, *, work: Any) -> Any:
        """The step over all works, in a Dag."""
        name = self.body.__name__
        if settings().ray_address:
            from realsyn_ops.operators.ray_shards import RayShards

            path = f"{self.body.__module__}:{name}"
            return RayShards(task_id=name, step=path, works=work, doc_md=self.body.__doc__).output

        def mapped(work: Work) -> Work:
            return self.function(work)

        mapped.__name__ = mapped.__qualname__ = name
        mapped.__doc__ = self.body.__doc__
        return task(execution_timeout=SHARD_TIMEOUT, **self.place)(mapped).expand(work=work)


def shard_step(
    stage: str, *, place: Mapping[str, Any] = MappingProxyType({}), **asked: Callable[[], Any]
) -> Callable[[Body], ShardStep]:
    """Make a step of ``body(staging, work, **given)``, which writes the shard `work` of `stage` and nothing else.

    The function must not ask Airflow for anything: it may run where there is none. What it needs of it (a key from a
    Connection) is named with the function that asks: ``@shard_step(STAGE, api_key=rewriter_key)``. It may return
    numbers of this run that are kept with its cost. ``place`` is where its mapped tasks run (`operators/places.py`); on
    a Ray cluster its nodes say that.
    """
    return lambda body: ShardStep(stage, body, place, asked)
