"""Where a task runs and what it waits for, by what it needs: a model, or memory for the whole corpus. The deployment
names queue, pools and pod (`REALSYN_MODEL_QUEUE`, ...) when the Dags are loaded; without names nothing is different."""

from typing import Any

from realsyn_ops.settings import settings


def with_models() -> dict[str, Any]:
    """For a task that loads models: Celery's queue, a pool, and the pod that KubernetesExecutor makes for it."""
    pod = settings().model_pod_template
    return _named(
        queue=settings().model_queue,
        pool=settings().model_pool,
        executor_config={"pod_template_file": pod} if pod else {},
    )


def whole_corpus() -> dict[str, Any]:
    """For a task that holds vectors or keys of all days: a pool with as many slots as memory has room for."""
    return _named(pool=settings().memory_pool)


def _named(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value}
