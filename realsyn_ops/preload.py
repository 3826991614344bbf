"""What tasks import, imported once in the processes that task processes are forked from: LocalExecutor's scheduler and
Celery's workers. docker/airflow_local_settings.py, which every Airflow process reads at its start, calls it."""

import importlib
import os
import sys
from collections.abc import Sequence

PRELOADED = ("pandas", "lance", "boto3", "scipy.sparse.csgraph", "scipy.fft", "faiss", "timm",
             "transformers.models.llama.modeling_llama", "spacy", "great_expectations")  # fmt: skip
"""Libraries whose import costs a task seconds. None starts threads when it is only imported, so forking is safe."""


def forks_tasks(arguments: Sequence[str], executor: str) -> bool:
    """Whether the Airflow process of these arguments forks task processes."""
    return "worker" in arguments or ("scheduler" in arguments and executor == "LocalExecutor")


def preload() -> None:
    if forks_tasks(sys.argv[1:], os.environ.get("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")):
        os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read while Great Expectations is imported
        for name in PRELOADED:
            importlib.import_module(name)
