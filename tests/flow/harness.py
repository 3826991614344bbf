"""What the tests of the whole flow use: a home of their own, the command line, and waiting for a run."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realsyn_ops.cli.__main__ import home
from realsyn_ops.cli.airflow_api import AirflowApi, Run
from realsyn_ops.cli.services import PROJECT, Stack
from tests.flow.receivers import Receivers

DOCUMENTS = 14


def demo_home(folder: Path) -> Path:
    """A home folder that is empty but for downloads and prepared weights, which are the machine's."""
    folder.mkdir(parents=True, exist_ok=True)
    for shared in ("cache", "models"):
        (home() / shared).mkdir(parents=True, exist_ok=True)
        (folder / shared).symlink_to(home() / shared)
    return folder


def release_files(folder: Path) -> dict[str, str]:
    """sha256 of every file of the one release under a home folder."""
    (version,) = [path for path in (folder / "releases").iterdir() if path.is_dir()]
    files = sorted(path for path in version.rglob("*") if path.is_file())
    return {f"{version.name}/{p.relative_to(version)}": hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def run_command(
    folder: Path, *arguments: str, further: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`./realsyn ARGUMENTS` with a home of its own, and ``further`` variables."""
    env = {**os.environ, "REALSYN_HOME": str(folder), "PYTHONPATH": str(PROJECT), **(further or {})}
    env["REALSYN_FETCH_ALLOWED"] = "127.0.0.0/8"  # the tests' own servers
    command = [sys.executable, "-m", "realsyn_ops.cli", *arguments]
    return subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=1500)


@dataclass
class Demo:
    """A finished demo whose services still run."""

    stack: Stack
    api: AirflowApi
    output: str
    report: dict
    release: Path
    receivers: Receivers


def wait_for(api: AirflowApi, run: Run, *, timeout_s: float = 300) -> dict[str, str | None]:
    """The states of a run's tasks once it is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if next(r for r in api.runs(run.dag) if r.run_id == run.run_id).is_over:
            return {task.task: task.state for task in api.tasks(run)}
        time.sleep(1)
    raise TimeoutError(f"{run.dag} {run.run_id} was not over after {timeout_s} s: {api.tasks(run)}")


def train_a_batch_with_open_clip(tar: str, n_samples: int) -> subprocess.CompletedProcess[str]:
    """What open_clip's own loader of training data gives first out of a tar: the shape of four images is printed."""
    code = (
        "import sys; from types import SimpleNamespace as N; from open_clip_train.data import get_wds_dataset;"
        "args = N(train_data=sys.argv[1], train_num_samples=int(sys.argv[2]), val_data=None, val_num_samples=None,"
        " dataset_resampled=False, seed=1, workers=1, batch_size=4, world_size=1, train_data_upsampling_factors=None);"
        "from torchvision.transforms import Compose, Resize, CenterCrop, ToTensor;"
        "data = get_wds_dataset(args, Compose([Resize(64), CenterCrop(64), ToTensor()]), is_train=True,"
        " tokenizer=lambda t: [len(t)]);"
        "images, texts = next(iter(data.dataloader)); print(tuple(images.shape))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, tar, str(n_samples)], capture_output=True, text=True, check=False
    )
