"""K-means: time and objective beside faiss.Kmeans and scikit-learn's MiniBatchKMeans; assignment beside all pairs.

Two sets of unit rows of 384: MiniLM's of the definitions of WordNet's nouns (a Debian package; embedded once, which
takes minutes), and generated ones, made to have their spectrum, their nearest neighbours and their clusters. Every
contender has a process of its own with one thread, and sees nine rows in ten; the objective is the mean cosine to the
nearest of the centroids by an exhaustive search, over those rows and over the ones held out.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.peers import run_peer
from realsyn_ops.cli.services import ONE_THREAD, PROJECT
from realsyn_ops.demo.packages import fetch
from realsyn_ops.demo.wordnet import read_nouns
from realsyn_ops.models.load import load_encoder
from realsyn_ops.stages.cluster import imbalance, n_clusters

SUMMARY = "k-means and assignment, beside faiss and scikit-learn"
MAX_TIME_RATIO, MIN_OBJECTIVE_RATIO, MAX_MISSED = 0.5, 0.99, 0.005
_ROWS_PER_CLUSTER = 420
_SIZES = (100_000, 300_000, 1_000_000)

_PROCESS = r"""
import json, re, sys, time
from pathlib import Path
import faiss
import numpy as np
from realsyn_ops.stages.cluster import Quantizer, fit_centroids
vectors, k, centroids_path = np.load(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def clock():
    return np.array([time.process_time(), time.perf_counter()])
def answer(took, **more):
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    print(json.dumps({"cpu_s": took[0], "wall_s": took[1], "peak_rss_bytes": peak, **more}))
"""
_OURS = r"""
started = clock()
centroids = fit_centroids(vectors, k=k, seed=1)
took = clock() - started
np.save(centroids_path, centroids)
answer(took)
"""
_FAISS = r"""
options = dict(seed=1, spherical=True, min_points_per_centroid=1, max_points_per_centroid=256)
kmeans = faiss.Kmeans(vectors.shape[1], k, niter=int(sys.argv[4]), **options)
started = clock()
kmeans.train(vectors)
took = clock() - started
np.save(centroids_path, kmeans.centroids)
answer(took, version=faiss.__version__)
"""
_ASSIGN = r"""
rows = vectors[np.random.default_rng(1).permutation(len(vectors))[:100_000]]
centroids = np.load(centroids_path)
started = clock()
quantizer = Quantizer(centroids)
made = clock() - started
per_row = {}
for probes in (1, 4):
    started = clock()
    ids, _ = quantizer.assign(rows, n_probes=probes)
    per_row[f"probes_{probes}_us"] = (clock() - started)[0] / len(rows) * 1e6
    started = clock()
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(centroids)
    _, exact = index.search(rows, probes)
    per_row[f"faiss_{probes}_us"] = (clock() - started)[0] / len(rows) * 1e6
    per_row[f"missed_{probes}"] = 1 - (ids[:, :, None] == exact[:, None, :]).any(axis=1).mean()
answer(made, **per_row)
"""


def measure(home: Path, console: Console, *, rows: int = 500_000) -> Measurement:
    """All contenders on both sets; assignment and our own cost a row on generated sets of several sizes, up to rows."""
    figures: dict[str, Any] = {}
    checks = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        real = _definitions(home, console)
        for name, blocks, n in (("definitions", [real], len(real)), ("generated", generated(rows, seed=1), rows)):
            k = _write(blocks, folder, n)
            raced = _race(folder, k, home, console)
            figures |= {f"{name}, K={k}: {contender}": values for contender, values in raced.items()}
            checks += _checks(name, raced)
            missed = _run(_ASSIGN, folder, k)["missed_1"]
            checks.append(Check(f"{name}: share of rows not at their nearest centroid", missed, "<=", MAX_MISSED))
        for n in [size for size in _SIZES if size < rows] + [rows]:
            console.print(f"ours on {n:,} rows", highlight=False)
            k = _write(generated(n, seed=1), folder, n)
            fitted, assigned = _run(_OURS, folder, k), _run(_ASSIGN, folder, k)
            figures[f"ours, {n:,} rows"] = _per_row(k, n, fitted, assigned)
    return Measurement(f"WordNet's definitions and {rows:,} generated rows, a tenth held out", figures, checks)


def generated(n: int, *, seed: int) -> Iterator[np.ndarray]:
    """n unit rows in blocks: each mixes three topics out of n/150 (some far more often than others) in falling weight,
    noise, and a direction common to all; topics lie around 64 fields. The variance falls along the axes."""
    rng = np.random.default_rng(seed)
    scale = (np.arange(384) + 6.0) ** -0.45
    scale = (scale / np.sqrt((scale**2).sum())).astype(np.float32)

    def draw(m: int) -> np.ndarray:
        return rng.standard_normal((m, 384), np.float32) * scale

    n_topics = max(1, n // 150)
    topics = 0.55 * draw(64)[rng.integers(0, 64, n_topics)] + 0.835 * draw(n_topics)
    often = np.cumsum(np.arange(1, n_topics + 1) ** -0.5)
    common = 0.33 * draw(1)
    for start in range(0, n, 20_000):
        m = min(20_000, n - start)
        block = 0.62 * draw(m) + common
        for weight in (0.62, 0.40, 0.25):
            block += (
                weight * topics[np.searchsorted(often, rng.random(m) * often[-1], side="right").clip(0, n_topics - 1)]
            )
        yield block / np.linalg.norm(block, axis=1, keepdims=True)


def _definitions(home: Path, console: Console) -> np.ndarray:
    """The definitions of at least four words, embedded by the demo's encoder; kept under the texts' hash."""
    nouns = read_nouns(fetch(["wordnet-base"], home / "cache")["wordnet-base"] / "usr/share/wordnet")
    texts = [synset.gloss.split('; "')[0] for synset in nouns.synsets.values()]
    texts = [text for text in texts if len(text.split()) >= 4]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    path = home / "cache" / f"definitions-{digest}.npy"
    if not path.is_file():
        console.print(f"embedding {len(texts):,} definitions (once)", highlight=False)
        encoder = load_encoder("demo", device="cpu", threads=os.cpu_count() or 1, models_path=home / "models")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".definitions-", delete=False) as file:
            np.save(file, encoder.encode_texts(texts))
        Path(file.name).replace(path)
    vectors: np.ndarray = np.load(path)
    return vectors[np.random.default_rng(1).permutation(len(vectors))]


def _write(blocks: Iterable[np.ndarray], folder: Path, n: int) -> int:
    """A row in ten (the first) into `held.npy`, the others into `train.npy`; returns how many clusters those get."""
    n_held, start = n // 10, 0
    held = np.lib.format.open_memmap(folder / "held.npy", "w+", np.float32, (n_held, 384))
    train = np.lib.format.open_memmap(folder / "train.npy", "w+", np.float32, (n - n_held, 384))
    for block in blocks:
        cut = min(len(block), max(0, n_held - start))
        held[start : start + cut] = block[:cut]
        train[start + cut - n_held : start + len(block) - n_held] = block[cut:]
        start += len(block)
    return n_clusters(len(train), rows_per_cluster=_ROWS_PER_CLUSTER)


def _race(folder: Path, k: int, home: Path, console: Console) -> dict[str, dict[str, Any]]:
    contenders = {
        "ours": lambda: _run(_OURS, folder, k),
        "faiss, 20 iterations": lambda: _run(_FAISS, folder, k, "20"),
        "faiss, 25 iterations": lambda: _run(_FAISS, folder, k, "25"),
        "scikit-learn": lambda: run_peer(
            "scikit_learn", "scikit_learn_kmeans.py", _arguments(folder, k), home, console
        ),
    }
    raced = {}
    for name, contend in contenders.items():
        console.print(f"{name}, K={k}", highlight=False)
        raced[name] = contend()
        raced[name]["peak_rss_mb"] = raced[name].pop("peak_rss_bytes") / 2**20
        raced[name] |= _judged(folder)
    return raced


def _run(code: str, folder: Path, k: int, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-c", _PROCESS + code, *_arguments(folder, k), *more]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _arguments(folder: Path, k: int) -> list[str]:
    return [str(folder / "train.npy"), str(k), str(folder / "centroids.npy")]


def _judged(folder: Path) -> dict[str, float]:
    """The objective of the centroids of `centroids.npy`, and how even the clusters are that they make of all rows."""
    index = faiss.IndexFlatIP(384)
    index.add(np.load(folder / "centroids.npy").astype(np.float32))
    cosines = {}
    sizes = np.zeros(index.ntotal, np.int64)
    for name in ("train", "held"):
        rows = np.load(folder / f"{name}.npy", mmap_mode="r")
        total = 0.0
        for start in range(0, len(rows), 65_536):
            found, ids = index.search(np.ascontiguousarray(rows[start : start + 65_536]), 1)
            total += float(found.sum(dtype=np.float64))
            sizes += np.bincount(ids[:, 0], minlength=len(sizes))
        cosines[f"objective_{name}"] = total / len(rows)
    return {**cosines, "largest": int(sizes.max()), "imbalance": imbalance(sizes)}


def _per_row(k: int, n: int, fitted: dict[str, Any], assigned: dict[str, Any]) -> dict[str, Any]:
    """Microseconds of CPU a row, but for the quantizer's making."""
    peak = fitted["peak_rss_bytes"] / 2**20
    made = {"quantizer_s": assigned["cpu_s"]}
    per_row = {name: value for name, value in assigned.items() if name.endswith(("_us", "_1", "_4"))}
    return {"K": k, "fit_us": fitted["cpu_s"] / n * 1e6, "fit_peak_rss_mb": peak, **made, **per_row}


def _checks(name: str, raced: dict[str, dict[str, Any]]) -> list[Check]:
    ours, theirs = raced["ours"], [raced[f"faiss, {n} iterations"] for n in (20, 25)]
    time = max(ours["cpu_s"] / one["cpu_s"] for one in theirs)
    checks = [Check(f"{name}: CPU time, of faiss's (the faster setting)", time, "<=", MAX_TIME_RATIO)]
    for rows in ("train", "held"):
        objective = min(ours[f"objective_{rows}"] / one[f"objective_{rows}"] for one in theirs)
        checks.append(
            Check(f"{name}: objective, of faiss's (the better setting), {rows}", objective, ">=", MIN_OBJECTIVE_RATIO)
        )
    return checks
