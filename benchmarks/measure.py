"""What the arms of a release are worth, measured by `measure_release` on data of this project's own pipeline.

Stamps with labels on pages among definitions and manuals (`material/labelled_documents.py`) go through the Dags' own
tasks: ingested, curated, clustered, paired, released, measured, on a real object store and without Airflow's scheduler.
Two fifths of the labelled stamps were held out before a page was composed; those that the corpus has a near-duplicate
of are left out of the evaluation, and what is evaluated is compared once more with what was trained on. Each arm has
the same budget. Nothing is checked about which arm wins. Tasks have one thread; two trainings run at once.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from benchmarks.material.labelled_documents import HeldOut, evaluation_files, is_near, write_documents
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.demo import prepare_models
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.errors import ServiceError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.releases import newest
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import ARMS
from realsyn_ops.stages.embed import perceptual_hash

SUMMARY = "a small CLIP trained on each arm of a release of labelled pictures, from several seeds, with intervals"
_DAY = "2025-02-18"
_SHARE = 0.6
_AT_ONCE = 2
_SHOWN = {
    "classes": ("acc1", "mean_per_class_recall"),
    "lines": ("image_retrieval_recall@5", "text_retrieval_recall@5"),
}
MAX_MINUTES = 40.0


def measure(home: Path, console: Console, *, seeds: int = 3, steps: int = 300) -> Measurement:
    """Checks that nothing leaked, that all arms had all seeds on one budget, and that what was trained learnt."""
    started, seconds = time.monotonic(), dict[str, float]()
    with TemporaryDirectory(dir=home, prefix="bench-measure-") as scratch:
        folder = Path(scratch)
        for shared in ("cache", "models"):
            (home / shared).mkdir(exist_ok=True)
            (folder / shared).symlink_to(home / shared)
        prepare_models(folder / "models")
        held_out = write_documents(folder / "input", folder / "cache", _DAY)
        stack = Stack(folder)
        stack.up_store()
        try:
            for path in sorted(path for path in (folder / "input" / _DAY).rglob("*") if path.is_file()):
                stack.bucket.put(f"raw/{path.relative_to(folder / 'input').as_posix()}", path.read_bytes())

            def run(module: str, *arguments: str, stdin: str = "") -> None:
                console.print(f"{module} {' '.join(arguments)}", highlight=False)
                before = time.monotonic()
                _run(stack, module, *arguments, stdin=stdin)
                seconds[module.rpartition(".")[2]] = time.monotonic() - before

            run("tests.flow.run_tasks", _DAY, "{}")
            run("tests.flow.release_tasks", stdin=json.dumps({"share": _SHARE}) + "\n")
            kept = _unlike(stack.bucket, home / "models", held_out)
            for name, data in evaluation_files(kept).items():
                stack.bucket.put(f"evaluation/{name}", data)
            run("tests.flow.measure_tasks", str(_AT_ONCE), json.dumps({"seeds": seeds, "steps": steps}))
            return _summarise(stack.bucket, home / "models", held_out, kept, seeds, seconds, started)
        finally:
            stack.down()


def _run(stack: Stack, module: str, *arguments: str, stdin: str) -> None:
    env = {**os.environ, **stack.airflow_env()}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=env, cwd=PROJECT, capture_output=True, text=True, check=False, input=stdin,
    )  # fmt: skip
    if done.returncode:
        raise ServiceError(f"{module} failed: {done.stderr.strip()[-1500:]}")


def _unlike(bucket: Bucket, models: Path, held_out: list[HeldOut]) -> list[HeldOut]:
    """Those held out that are near-duplicates of no image of the corpus, released or not."""
    near = _near_images(bucket, models, [one.picture for one in held_out], None)
    return [one for one, is_alike in zip(held_out, near, strict=True) if not is_alike]


def _near_images(bucket: Bucket, models: Path, pictures: list[Image.Image], keys: set[str] | None) -> list[bool]:
    """Of each picture whether one of the corpus' images, all or some, is near it by hash or vector."""
    from realsyn_ops.models.demo_encoder import DemoEncoder  # torch: not for those who only list the benchmarks

    table = Corpus(bucket).read("image_embeddings", ["key", "phash", "visual"])
    taken = np.array([keys is None or key in keys for key in table["key"].to_pylist()])
    others = np.stack(table["visual"].to_numpy()).astype(np.float32)[taken]
    hashes = np.array([perceptual_hash(picture) for picture in pictures], np.uint64)
    vectors = DemoEncoder(models, "cpu").encode_images(pictures)[1]
    near: list[bool] = is_near(hashes, vectors, table["phash"].to_numpy()[taken], others).tolist()
    return near


def _summarise(
    bucket: Bucket, models: Path, held_out: list[HeldOut], kept: list[HeldOut], seeds: int, seconds: dict[str, float],
    started: float,
) -> Measurement:  # fmt: skip
    found = next(item.key for item in bucket.list("measures/") if item.key.endswith("/scores.json"))
    facts = json.loads(bucket.get(found))
    trained, peak_bytes = _trained_on(bucket), _peak_bytes(bucket)
    evaluated = _pictures(bucket)
    near = _near_images(bucket, models, [picture for _, picture in evaluated], trained)
    figures: dict[str, Any] = {arm: {"pairs": n} for arm, n in facts["pairs"].items()}
    for name, metrics in _SHOWN.items():
        for metric in metrics:
            of_metric = facts["results"][name][metric]
            for arm, row in of_metric["arms"].items():
                less = row.get("difference")
                figures[arm][f"{name} {metric}"] = f"{100 * row['mean']:.1f} +- {100 * row['half']:.1f}" + (
                    f" ({100 * less['mean']:+.1f} +- {100 * less['half']:.1f})" if less else ""
                )
            figures.setdefault("guessing", {})[f"{name} {metric}"] = f"{100 * of_metric['chance']:.1f}"
    trainings = facts["trainings"]
    figures["all scores"] = facts["results"]
    figures["absent"] = facts["absent"] or "none"
    figures["model"], figures["steps x batch"] = (
        facts["model"],
        f"{facts['plan']['steps']} x {facts['plan']['batch_size']}",
    )
    figures["seconds"] = {name: round(took, 1) for name, took in seconds.items()}
    figures["peak memory of a task (MB)"] = peak_bytes / 2**20
    minutes = figures["minutes"] = (time.monotonic() - started) / 60
    accuracy = facts["results"]["classes"]["acc1"]
    best = max(row["mean"] - row["half"] for row in accuracy["arms"].values())
    return Measurement(
        f"{len(trained)} pictures trained on, {len(kept)} of {len(held_out)} held out evaluated; {newest(bucket)}",
        figures,
        [
            Check(
                "evaluated pictures that are an image trained on", sum(key in trained for key, _ in evaluated), "<=", 0
            ),
            Check("evaluated pictures near one trained on", sum(near), "<=", 0),
            Check("pictures evaluated", len(evaluated), ">=", 50),
            Check("arms trained and evaluated", len(facts["pairs"]), ">=", len(ARMS)),
            Check("trainings missing of arms x seeds", len(ARMS) * seeds - len(trainings), "<=", 0),
            Check("budgets that there were", len({one["n_images_seen"] for one in trainings.values()}), "<=", 1),
            Check("best arm's lower end of top-1 accuracy, times chance", best / accuracy["chance"], ">=", 1.5),
            Check("minutes of the whole", minutes, "<=", MAX_MINUTES),
        ],
    )


def _trained_on(bucket: Bucket) -> set[str]:
    """The keys of all arms' images."""
    import pyarrow.parquet as pq

    shards = [item.key for item in bucket.list("staging/measure_release/") if item.key.endswith(".pairs.parquet")]
    return {key for shard in shards for key in pq.read_table(io.BytesIO(bucket.get(shard)))["key"].to_pylist()}


def _pictures(bucket: Bucket) -> list[tuple[str, Image.Image]]:
    """What the evaluation set holds: the key that the corpus would give each picture's file, and the picture."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(bucket.get("evaluation/classes/test/0.tar"))) as tar:
        for member in tar:
            key, _, kind = member.name.partition(".")
            if kind == "png" and (file := tar.extractfile(member)):
                found.append((key, Image.open(io.BytesIO(file.read())).convert("RGB")))
    return found


def _peak_bytes(bucket: Bucket) -> int:
    return max(json.loads(bucket.get(item.key))["peak_rss_bytes"] for item in bucket.list("runs/measure_release/"))
