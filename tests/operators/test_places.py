"""Queues, pools and pods of the Dags' tasks, as a deployment names them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from realsyn_ops.cli.services import PROJECT

LOAD = """
import json, sys
from pathlib import Path
sys.path.insert(0, "dags")
dags = [getattr(__import__(path.stem), path.stem)() for path in Path("dags").glob("*.py")]
print(json.dumps({f"{d.dag_id}.{t.task_id}": [t.queue, t.pool, t.executor_config] for d in dags for t in d.tasks}))
"""
WITH_MODELS = {
    "curate_images.embed", "cluster_sentences.score", "pair_texts.synthesize", "mine_tags.embed", "teach_rewriter.ask",
    "measure_release.train",
}  # fmt: skip
WHOLE_CORPUS = {
    "curate_images.fit", "curate_images.arrange", "curate_images.link", "curate_images.deduplicate",
    "cluster_sentences.fit", "cluster_sentences.arrange", "cluster_sentences.link", "cluster_sentences.deduplicate",
    "pair_texts.prepare", "pair_texts.retrieve", "pair_texts.collect", "mine_tags.merge", "mine_tags.rank",
    "release_dataset.fit", "release_dataset.select", "measure_release.gather",
}  # fmt: skip


def places(folder: Path, **settings: str) -> dict[str, list]:
    """Queue, pool and executor's settings of every task, as a process with these settings loads them."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("REALSYN_", "AIRFLOW_"))}
    env |= {"PYTHONPATH": str(PROJECT), "AIRFLOW_HOME": str(folder), "AIRFLOW__OPERATORS__DEFAULT_QUEUE": "cpu"}
    env |= {f"REALSYN_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_without_names_every_task_is_in_the_default_queue_and_pool(tmp_path: Path) -> None:
    found = places(tmp_path)
    assert set(found) > WITH_MODELS | WHOLE_CORPUS
    assert {json.dumps(place) for place in found.values()} == {'["cpu", "default_pool", {}]'}


def test_tasks_with_models_and_steps_over_the_corpus_go_where_the_deployment_says(tmp_path: Path) -> None:
    names = {"model_queue": "gpu", "model_pool": "models", "memory_pool": "memory", "model_pod_template": "/gpu.yaml"}
    found = places(tmp_path, **names)
    gpu = ["gpu", "models", {"pod_template_file": "/gpu.yaml"}]
    assert {task for task, place in found.items() if place == gpu} == WITH_MODELS
    assert {task for task, place in found.items() if place == ["cpu", "memory", {}]} == WHOLE_CORPUS
    others = [place for task, place in found.items() if task not in WITH_MODELS | WHOLE_CORPUS]
    assert others == [["cpu", "default_pool", {}]] * len(others)
