"""Endurance on CeleryExecutor, set up as docker-compose.yml has it: a worker, the object store and the scheduler are
lost while the demo runs, and it ends in the release that LocalExecutor makes, without a hand and without a try more
than the lost worker's task costs."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from rich.console import Console

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.demo import run_demo
from tests.flow.composed import ComposedStack
from tests.flow.harness import DOCUMENTS, demo_home, release_files

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]

LOADED_MODEL_BYTES = 1_300 * 2**20
STORE_AWAY_S = 60
ELSEWHERE_S = 60
Seen = TypeVar("Seen")


@contextmanager
def demo_on_celery(stack: ComposedStack, log: Path) -> Iterator[Future[Path]]:
    """The demo under way; whatever happens, nothing of it runs afterwards."""
    pool = ThreadPoolExecutor(1)
    try:
        with log.open("w") as file:
            yield pool.submit(run_demo, stack, Console(file=file), folder=None, documents=DOCUMENTS, fetch=False)
    finally:
        stack.down()
        pool.shutdown()


def first(look: Callable[[], Seen | None], demo: Future[Path], *, within_s: float) -> Seen:
    """What is seen first, while the demo runs."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if demo.done():
            raise AssertionError(f"the demo ended too soon: {demo.exception() or demo.result()}")
        if seen := look():
            return seen
        time.sleep(0.2)
    raise TimeoutError(f"not seen within {within_s} s: {look}")


def with_a_model(stack: ComposedStack) -> tuple[str, str] | None:
    """Worker and try of a task that has loaded a model."""
    for attempt, (worker, process) in stack.running_tasks().items():
        with suppress(psutil.Error):
            if process.memory_info().rss > LOADED_MODEL_BYTES:
                return worker, attempt
    return None


def instances(api: AirflowApi, **query: Any) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """Task instances of all runs as Airflow has them now."""
    answer = api._call("GET", "/api/v2/dags/~/dagRuns/~/taskInstances", params={"limit": 1000, **query})
    return {(t["dag_id"], t["dag_run_id"], t["task_id"], t["map_index"]): t for t in answer["task_instances"]}


def test_the_release_is_the_same_when_a_worker_the_store_and_the_scheduler_are_lost(calm: Path, tmp_path: Path) -> None:
    stack = ComposedStack(demo_home(tmp_path / "celery"))
    with demo_on_celery(stack, tmp_path / "demo.log") as demo:
        worker, attempt = first(lambda: with_a_model(stack), demo, within_s=900)
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        lost = next(key for key, task in instances(api, state="running").items() if task["id"] == attempt)
        stack.lose(worker)
        killed = time.monotonic()

        def elsewhere() -> str | None:
            now = instances(api, state="running").get(lost)
            return stack.running_tasks().get(now["id"], [None])[0] if now and now["id"] != attempt else None

        assert first(elsewhere, demo, within_s=ELSEWHERE_S) != worker
        print(f"{'/'.join(map(str, lost))} ran elsewhere after {time.monotonic() - killed:.1f} s")
        stack.start(worker)

        first(stack.running_tasks, demo, within_s=300)
        stack.seaweed.stop(grace_s=3)
        time.sleep(STORE_AWAY_S)
        stack.up_store()

        first(stack.running_tasks, demo, within_s=300)
        stack.lose("airflow-scheduler")
        time.sleep(5)
        stack.start("airflow-scheduler")

        demo.result(timeout=1800)
        ended = instances(api)
        assert {task["state"] for task in ended.values()} <= {"success", "skipped"}
        tries = {key: task["try_number"] for key, task in ended.items() if task["try_number"] > 1}
        assert lost in tries
        assert sum(n - 1 for n in tries.values()) <= 2, f"a write while the store goes away may cost one more: {tries}"
    assert release_files(stack.home) == release_files(calm)
