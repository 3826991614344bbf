"""Which Airflow processes import the heavy libraries at their start: those that task processes are forked from."""

import pytest

from realsyn_ops.preload import forks_tasks


@pytest.mark.parametrize(
    ("command", "executor", "expected"),
    [
        ("scheduler", "LocalExecutor", True),
        ("scheduler", "CeleryExecutor", False),
        ("celery worker --queues cpu", "CeleryExecutor", True),
        ("celery worker --queues scheduler", "CeleryExecutor", True),
        ("api-server --port 8080", "LocalExecutor", False),
        ("triggerer", "CeleryExecutor", False),
        ("db migrate", "LocalExecutor", False),
    ],
)
def test_processes_that_fork_tasks_are_told_by_their_command(command: str, executor: str, expected: bool) -> None:
    assert forks_tasks(command.split(), executor) is expected
