"""A measurement made without Airflow's scheduler: the tasks of `measure_release` one by one, but for the trainings, of
which so many run at once.

``python -m tests.flow.measure_tasks 2 '{"seeds": 3}'``, in the environment of a stack's tasks.
"""

import json
import multiprocessing
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace
from typing import Any

from realsyn_ops.operators import measuring, params
from realsyn_ops.operators.run import Work


def measure(n_at_once: int, changes: dict[str, Any]) -> str:
    """Returns the folder of the measurement below ``measures/``."""
    chosen = {name: param.value for name, param in params.MEASURE.items()} | changes
    trainings = measuring.gather.function(measuring.plan.function(params=chosen))
    with ProcessPoolExecutor(n_at_once, multiprocessing.get_context("spawn")) as pool:
        shards = list(pool.map(train, trainings))
    events: Any = defaultdict(SimpleNamespace)
    measuring.publish.function(shards, outlet_events=events)
    return str(events[measuring.assets.MEASURES].extra["measurement"])


def train(work: Work) -> Work:
    """One training, in a process of its own: a task's function cannot be sent there, only found."""
    return measuring.train.function(work)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]), json.loads(sys.argv[2])))
