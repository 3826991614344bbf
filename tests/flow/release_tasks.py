"""Releases made without Airflow's scheduler: the tasks of `release_dataset` one by one, each release in a process of
its own.

``python -m tests.flow.release_tasks``, in the environment of a stack's tasks: for each line of standard input, a JSON
object of params, a process is forked that makes the release; its id, and how it ended, are printed.
"""

import json
import os
import sys
import traceback
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

_ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries log to standard output is no answer

import great_expectations  # noqa: E402, F401  slow to import: once, before forking
import pandas as pd  # noqa: E402, F401
import pyarrow.parquet  # noqa: E402, F401

from realsyn_ops.operators import params, sampling  # noqa: E402


def make_release(changes: dict[str, Any]) -> None:
    chosen = {name: param.value for name, param in params.RELEASE.items()} | changes
    work = sampling.plan.function(sampling.fit.function(params=chosen), params=chosen)
    shards = [sampling.export.function(shard) for shard in sampling.select.function(work)]
    sampling.publish.function(sampling.audit.function(shards), outlet_events=defaultdict(SimpleNamespace))


def main() -> None:
    for line in sys.stdin:
        if not (pid := os.fork()):
            os.setsid()
            try:
                make_release(json.loads(line))
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(pid, file=_ANSWERS, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=_ANSWERS, flush=True)


if __name__ == "__main__":
    main()
