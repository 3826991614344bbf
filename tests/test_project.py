"""The rules of the project: static checks pass and fire on planted violations, Dags stay tables of contents."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
DAGS = sorted((ROOT / "dags").glob("*.py"))
FLOW = {"ingest_documents", "curate_images", "cluster_sentences", "pair_texts", "release_dataset"}
SOURCES = [path for part in ("realsyn_ops", "dags", "plugins") for path in sorted((ROOT / part).rglob("*.py"))]
HEAVY = {
    "numpy", "pandas", "scipy", "torch", "faiss", "great_expectations", "lance", "pyarrow", "PIL", "spacy",
    "transformers", "open_clip", "nltk", "ray",
}  # fmt: skip
LOAD_DAGS = """
import importlib.util, json, sys
from pathlib import Path
from airflow.sdk.definitions._internal.contextmanager import DagContext

found = {}
for path in map(Path, sys.argv[1:]):
    DagContext.current_autoregister_module_name = path.stem
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[path.stem])
    found[path.stem] = sorted(d.dag_id for d, module in DagContext.autoregistered_dags if module.__name__ == path.stem)
print(json.dumps({"dags": found, "modules": sorted(sys.modules)}))
"""


def run(tool: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(cwd), "NO_COLOR": "1"}
    return subprocess.run([TOOLS / tool, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("lint-imports",), ("mypy",)],
    ids=["ruff", "format", "layers", "types"],
)
def test_static_checks_are_clean(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package and its rules in a folder where violations may be planted."""
    for folder in ("realsyn_ops", "dags"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(path: Path, line: str) -> None:
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("realsyn_ops/stages/sample/cuts.py", "import airflow", "TID251"),
        ("realsyn_ops/io/shards.py", "from airflow.sdk import task", "TID251"),
        ("realsyn_ops/operators/sampling.py", "import numpy", "TID253"),
        ("realsyn_ops/operators/ray_shards.py", "import ray", "TID253"),
        ("dags/pair_texts.py", "from PIL import Image", "TID253"),
        ("realsyn_ops/stages/sample/cuts.py", "from . import bounds", "TID252"),
        ("realsyn_ops/stages/sample/new.py", "says = 'nothing of itself'", "D100"),
    ],
)
def test_ruff_names_a_planted_line(copied: Path, file: str, line: str, rule: str) -> None:
    assert run("ruff", "check", "--select", rule, ".", cwd=copied).returncode == 0
    plant(copied / file, line)
    done = run("ruff", "check", "--select", rule, ".", cwd=copied)
    assert done.returncode == 1
    assert rule in done.stdout
    assert file in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("stages/sample/cuts.py", "from realsyn_ops.stages import cluster", "A stage does not import another stage"),
        ("stages/sample/cuts.py", "from realsyn_ops.io import storage", "One direction"),
        ("io/shards.py", "from realsyn_ops.models import load", "One direction"),
        ("plans.py", "from realsyn_ops.operators import assets", "One direction"),
        ("gates/audit.py", "import airflow", "airflow only at the edge"),
        ("stages/embed.py", "import torch", "torch only in models"),
        ("operators/ray_shards.py", "import ray", "ray only in ray"),
        ("ray/job.py", "import airflow", "airflow only at the edge"),
    ],
)
def test_the_layers_break_on_a_planted_import(copied: Path, file: str, line: str, contract: str) -> None:
    plant(copied / "realsyn_ops" / file, line)
    done = run("lint-imports", "--no-cache", cwd=copied)
    assert done.returncode == 1
    verdicts = (
        " ".join(done.stdout.split("Contracts:")[0].split()).replace(" BROKEN", " BROKEN\n").replace(" KEPT", "\n")
    )
    assert any(contract in verdict and verdict.endswith("BROKEN") for verdict in verdicts.splitlines()), done.stdout


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a fresh process has imported, and which Dags it has, after loading every Dag file."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))}
    command = [sys.executable, "-c", LOAD_DAGS, *map(str, DAGS)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_loading_the_dags_loads_nothing_heavy(loaded: dict) -> None:
    assert "realsyn_ops.operators.extraction" in loaded["modules"]
    assert HEAVY & set(loaded["modules"]) == set()


def test_a_dag_is_named_like_its_file(loaded: dict) -> None:
    assert loaded["dags"] == {path.stem: [path.stem] for path in DAGS}
    assert set(loaded["dags"]) >= FLOW


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_a_dag_file_is_a_table_of_contents(path: Path) -> None:
    tree = ast.parse(path.read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == path.stem)
    assert (body[-1].end_lineno or 0) - body[0].lineno + 1 <= 10
    for statement in body:
        assert isinstance(statement, ast.Expr | ast.Assign), ast.unparse(statement)
        assert any(isinstance(node, ast.Call) for node in ast.walk(statement)), ast.unparse(statement)
    logic = ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.With, ast.Lambda, ast.ListComp, ast.DictComp
    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, logic)] == []
    assert "**Red task.**" in (ast.get_docstring(tree) or "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_named_for_what_it_does(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "base", "manager", "handler"}


def test_a_takedown_waits_for_every_other_dag() -> None:
    from realsyn_ops.operators.takedown import OTHERS

    assert {*OTHERS, "takedown"} == {path.stem for path in DAGS}
