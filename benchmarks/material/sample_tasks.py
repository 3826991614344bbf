"""Assignments as a release draws from them, and what draws: tasks of `benchmarks/sample.py`, each in its own process.

Cluster sizes follow the law of Zipf (the r-th largest has about 1/r of the largest), numbered at random; rows lie in
random order. Similarities are even, keys random. Nothing is known of a row before it is read.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from realsyn_ops.stages.sample import (
    QUANTILES,
    Bounds,
    Rows,
    Selection,
    cluster_sizes,
    high_draws,
    select,
    similarity_bounds,
    solved_scales,
    what_if,
)

_BLOCK = 2**16
_SEED = 2502
_BOUNDS = (0.075, 0.925)
_COLUMNS: dict[str, tuple[np.dtype[Any], int]] = {
    "keys": (np.dtype(np.uint64), 2),
    "clusters": (np.dtype(np.int32), 1),
    "similarities": (np.dtype(np.float32), 1),
}


class Assignments:
    """The first n rows of a folder with a file a column."""

    def __init__(self, folder: Path, n: int) -> None:
        self._folder, self.n = folder, n

    def blocks(self) -> Iterator[Rows]:
        """All rows with their draws."""
        for keys, clusters, similarities in self.columns("keys", "clusters", "similarities"):
            yield _drawn(keys, clusters, similarities)

    def similarities(self) -> Iterator[np.ndarray]:
        """The similarities alone."""
        for (block,) in self.columns("similarities"):
            yield block

    def columns(self, *names: str) -> Iterator[list[np.ndarray]]:
        """Columns side by side, a block at a time."""
        files = [(self._folder / name).open("rb") for name in names]
        for start in range(0, self.n, _BLOCK):
            n = min(_BLOCK, self.n - start)
            yield [
                np.fromfile(file, dtype, n * width)
                for file, (dtype, width) in zip(files, map(_COLUMNS.__getitem__, names), strict=True)
            ]
        for file in files:
            file.close()


def generate(folder: Path, *, n: int, n_new: int, k: int) -> dict[str, Any]:
    """n assignments to k clusters, and so many that come later."""
    rng = np.random.default_rng(7)
    numbers = rng.permutation(k).astype(np.int32)
    files = {name: (folder / name).open("wb") for name in _COLUMNS}
    for start in range(0, n + n_new, _BLOCK):
        m = min(_BLOCK, n + n_new - start)
        rank = np.exp(rng.random(m) * np.log(k + 1)).astype(np.int64) - 1
        rng.integers(0, 2**64, 2 * m, dtype=np.uint64).tofile(files["keys"])
        numbers[np.clip(rank, 0, k - 1)].tofile(files["clusters"])
        rng.random(m, dtype=np.float32).tofile(files["similarities"])
    for file in files.values():
        file.close()
    sizes = _sizes(Assignments(folder, n), Bounds(-1.0, 1.0), k)
    return {"n_new": n_new, "largest": int(sizes.max()), "median": int(np.median(sizes))}


def ours(folder: Path, *, n: int, k: int, wanted: list[int], memory_bytes: int, into: str) -> dict[str, Any]:
    """All scales of n assignments: bounds, what-if table, caps, cuts, and keys and clusters that each scale adds."""
    rows, timed = Assignments(folder, n), _Timed()
    bounds, *others = timed("bounds", lambda: similarity_bounds(rows.similarities, [_BOUNDS, *QUANTILES]))
    timed("what-if", lambda: what_if(rows.similarities, others))
    sizes = timed("sizes", lambda: _sizes(rows, bounds, k))
    scales = solved_scales(sizes, wanted)
    selection = timed("cuts", lambda: select(rows.blocks, bounds, sizes, scales, memory_bytes=memory_bytes))
    (folder / into).mkdir()
    timed("choose", lambda: _choose(folder / into, rows, selection))
    return {"n": n, "bounds": bounds, "caps": [scale.cap for scale in scales], **timed.figures()}


def check(folder: Path, *, n: int, k: int, bounds: list[float], caps: list[int]) -> dict[str, Any]:
    """What was written, counted: pairs of each scale, keys that are there twice, clusters that do not keep to it."""
    keys = _keys(folder / "before", len(caps))
    within = _sizes(Assignments(folder, n), Bounds(*bounds), k)
    given, sizes, n_uneven = np.zeros(k, np.int64), [], 0
    for i, cap in enumerate(caps):
        given += np.bincount(np.fromfile(folder / f"before/clusters-{i}", np.int32), minlength=k)
        sizes.append(int(given.sum()))
        n_uneven += int(((given > cap) | (given < np.minimum(within, cap - 1))).sum())
    return {"sizes": sizes, "repeated": _n_repeated(keys) + sizes[-1] - len(keys), "uneven": n_uneven}


def changes(folder: Path, *, n_scales: int) -> dict[str, Any]:
    """Of each scale the share that is not in it any more, and the share that is new, once the later ones have come."""
    left, came = [], []
    for n in range(1, n_scales + 1):
        before, after = (_keys(folder / name, n) for name in ("before", "after"))
        n_both = _n_repeated(np.concatenate([before, after]))
        left.append(1 - n_both / len(before))
        came.append(1 - n_both / len(after))
    return {"left": left, "came": came}


def pandas(folder: Path, *, k: int, wanted: list[int], n: int) -> dict[str, Any]:
    """The same of n assignments by pandas: bounds, then scale by scale a groupby and sample within the last one.

    Caps are given to it. A cluster below its cap is taken whole and has no part in the groupby, which is several times
    faster than a sample for every cluster.
    """
    import pandas as pd

    rows = Assignments(folder, n)
    columns = [np.concatenate(column) for column in zip(*rows.columns("keys", "clusters", "similarities"), strict=True)]
    frame = pd.DataFrame({"key": columns[0][::2], "cluster": columns[1], "similarity": columns[2]})
    timed = _Timed()
    lower, upper = timed("bounds", lambda: frame["similarity"].quantile(list(_BOUNDS)))
    left = timed("within", lambda: frame[frame["similarity"].between(lower, upper)])
    caps = [scale.cap for scale in solved_scales(np.bincount(left["cluster"], minlength=k), wanted)]
    sizes = []
    for cap in reversed(caps):
        left = timed("sample", partial(_sampled, left, cap))
        sizes.append(len(left))
    return {"n": n, "caps": caps, "sizes": sizes[::-1], **timed.figures()}


def _sampled(frame: Any, cap: int) -> Any:
    import pandas as pd

    is_large = frame.groupby("cluster")["cluster"].transform("size") > cap
    drawn = frame[is_large].groupby("cluster").sample(n=cap, random_state=_SEED)
    return pd.concat([frame[~is_large], drawn])


def _choose(folder: Path, rows: Assignments, selection: Selection) -> None:
    scales = range(len(selection.scales))
    files = [[(folder / f"{name}-{i}").open("wb") for name in ("keys", "clusters")] for i in scales]
    for keys, clusters, similarities in rows.columns("keys", "clusters", "similarities"):
        places = selection.places(_drawn(keys, clusters, similarities))
        for i, (to_keys, to_clusters) in enumerate(files):
            added = np.flatnonzero(places == i)
            keys.reshape(-1, 2)[added].tofile(to_keys)
            clusters[added].tofile(to_clusters)
    for file in (file for pair in files for file in pair):
        file.close()


def _keys(folder: Path, n_scales: int) -> np.ndarray:
    """First words of the keys in the first so many scales: among these, no two keys are expected to have the same."""
    return np.concatenate([np.fromfile(folder / f"keys-{i}", np.uint64)[::2] for i in range(n_scales)])


def _n_repeated(words: np.ndarray) -> int:
    words.sort()
    return int((words[1:] == words[:-1]).sum())


def _sizes(rows: Assignments, bounds: Bounds, k: int) -> np.ndarray:
    return cluster_sizes(rows.columns("clusters", "similarities"), bounds, n_clusters=k)


def _drawn(keys: np.ndarray, clusters: np.ndarray, similarities: np.ndarray) -> Rows:
    words = keys.reshape(-1, 2)
    return Rows(high_draws(words[:, 0], seed=_SEED), words[:, 1], clusters, similarities)


class _Timed:
    """CPU-seconds and wall seconds by step, and the process's peak memory."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        started, cpu = time.perf_counter(), time.process_time()
        answer = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + time.process_time() - cpu
        return answer

    def figures(self) -> dict[str, Any]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "peak_bytes": peak}


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    tasks: dict[str, Callable[..., dict[str, Any]]] = {f.__name__: f for f in (generate, ours, check, changes, pandas)}
    print(json.dumps(tasks[sys.argv[1]](Path(arguments.pop("folder")), **arguments)))
