"""A step over shards in a Dag: the same tasks in the same order, mapped or handed over to Ray."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from realsyn_ops.cli.services import PROJECT

LOAD = """
import json, sys
from pathlib import Path
sys.path.insert(0, "dags")
dags = {path.stem: getattr(__import__(path.stem), path.stem)() for path in Path("dags").glob("*.py")}
kinds = {name: {t.task_id: type(t).__name__ for t in dag.tasks} for name, dag in dags.items()}
edges = {name: {t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks} for name, dag in dags.items()}
docs = {name: {t.task_id: t.doc_md for t in dag.tasks} for name, dag in dags.items()}
print(json.dumps({"kinds": kinds, "edges": edges, "docs": docs, "modules": sorted(sys.modules)}))
"""


def loaded(folder: Path, ray_address: str) -> dict[str, Any]:
    """The Dags as a process with this setting has them."""
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "AIRFLOW_HOME": str(folder), "REALSYN_RAY_ADDRESS": ray_address}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=env, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("airflow")
    return loaded(folder, ""), loaded(folder, "ray://127.0.0.1:10001")


def test_with_a_ray_cluster_the_dags_have_the_same_tasks_in_the_same_order(
    both: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    mapped, on_ray = both
    assert on_ray["edges"] == mapped["edges"]
    differing = {
        (dag, task): (kind, on_ray["kinds"][dag][task])
        for dag, tasks in mapped["kinds"].items()
        for task, kind in tasks.items()
        if kind != on_ray["kinds"][dag][task]
    }
    assert {("curate_images", "embed"), ("cluster_sentences", "score"), ("pair_texts", "synthesize")} <= set(differing)
    assert set(differing.values()) == {("DecoratedMappedOperator", "RayShards")}
    assert all("shard" in on_ray["docs"][dag][task] for dag, task in differing)


def test_loading_dags_for_a_ray_cluster_loads_no_ray(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert "realsyn_ops.operators.ray_shards" in both[1]["modules"]
    for found in both:
        assert not {"ray", "torch", "pyarrow", "numpy"} & set(found["modules"])
    assert "realsyn_ops.operators.ray_shards" not in both[0]["modules"]
