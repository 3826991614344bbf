"""What `benchmarks/dedup.py` measures, each in a process of its own: `python -m benchmarks.material.dedup_tasks`.

Arguments are a task and its parameters as JSON. The last line of standard output is one JSON object: CPU-seconds by
step, peak memory, and what was found.
"""

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.material.planted_vectors import planted_vectors
from realsyn_ops.records import Reason
from realsyn_ops.stages.dedup import (
    Groups,
    Kind,
    Links,
    cosine_links,
    group,
    head_basis,
    merge_links,
    near_cells,
    vector_heads,
    vector_identity,
)
from realsyn_ops.stages.dedup.links import first_holders

DIM = 384
THRESHOLD = 0.9
ROWS_PER_CELL = 420
SKETCHES = ("same", "heads", "limits", "cells")
_SEED = 2502
_SAMPLE_PER_CENTROID = 64
seconds: dict[str, float] = {}


@contextmanager
def timed(step: str) -> Iterator[None]:
    started = time.process_time()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.process_time() - started


def make(folder: Path, n: int) -> dict[str, Any]:
    """Vectors, pairs and centroids of n records."""
    planted = planted_vectors(n, dim=DIM, threshold=THRESHOLD, seed=_SEED)
    exact = _cosines(planted.vectors, planted.near)
    near = planted.near[exact >= THRESHOLD]
    missed = planted.missed[_cosines(planted.vectors, planted.missed) < THRESHOLD]
    for name, array in (("vectors", planted.vectors), ("near", near), ("missed", missed)):
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "centroids.npy", _centroids(planted.vectors, max(1, n // ROWS_PER_CELL)))
    return {"near": len(near), "missed": len(missed)}


def rebuild(folder: Path, seed: int) -> dict[str, Any]:
    """All at once, the records shuffled by the seed (0: as they are, and what was found is kept for `days`)."""
    order = _order(folder, seed)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    if seed:
        vectors = vectors[order]
    sketches = _sketches(vectors, np.load(folder / "centroids.npy"))
    with timed("links"):
        links = _links(vectors, sketches, np.ones(len(vectors), bool))
    groups = _groups(sketches, links, order)
    if not seed:
        for name, array in sketches.items():
            np.save(folder / f"{name}.npy", array)
        np.savez(folder / "links.npz", first=links.first, second=links.second, similarity=links.similarity)
    counts = np.diff(sketches["limits"])
    return {
        "digest": _digest(groups, order),
        "n_links": len(links),
        "cells_per_record": float(counts.mean()),
        **_verdicts(folder, vectors, sketches, links, groups, order),
    }


def days(folder: Path, seed: int, n_days: int) -> dict[str, Any]:
    """Day by day, each record on a day drawn at random, in the order of their arrival."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    sketches = {name: np.load(folder / f"{name}.npy") for name in SKETCHES}
    rng = np.random.default_rng(seed)
    arrival = rng.integers(0, n_days, len(vectors))
    shuffled = rng.permutation(len(vectors))
    parts = []
    for day in range(n_days):
        here = shuffled[arrival[shuffled] <= day]
        counts = np.diff(sketches["limits"])[here]
        limits = np.r_[0, np.cumsum(counts)]
        entries = np.repeat(sketches["limits"][:-1][here] - limits[:-1], counts) + np.arange(limits[-1])
        some = {
            "limits": limits, "cells": sketches["cells"][entries],
            "same": sketches["same"][here], "heads": sketches["heads"][here],
        }  # fmt: skip
        with timed("links"):
            parts.append(_links(vectors[here], some, arrival[here] == day).at(here))
    links = merge_links(parts)
    order = np.arange(len(vectors))
    return {"digest": _digest(_groups(sketches, links, order), order), "n_links": len(links)}


def last_day(folder: Path, share: int) -> dict[str, Any]:
    """What one record in `share` costs that arrives when all others are there: their sketches and links are at hand."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    centroids = np.load(folder / "centroids.npy")
    sketches = {name: np.load(folder / f"{name}.npy") for name in SKETCHES}
    links = Links(**np.load(folder / "links.npz"))
    is_new = np.arange(len(vectors)) % share == 0
    is_known = ~is_new[links.first] & ~is_new[links.second]
    known = Links(links.first[is_known], links.second[is_known], links.similarity[is_known])
    _sketches(np.ascontiguousarray(vectors[is_new]), centroids)
    with timed("links"):
        added = _links(vectors, sketches, is_new)
    order = np.arange(len(vectors))
    groups = _groups(sketches, merge_links([known, added]), order)
    return {"digest": _digest(groups, order), "n_new": int(is_new.sum())}


def exact(folder: Path) -> dict[str, Any]:
    """faiss' exact range search over all pairs."""
    vectors = np.load(folder / "vectors.npy")
    index = faiss.IndexFlatIP(DIM)
    with timed("range search"):
        index.add(vectors)
        n_found = sum(
            int(index.range_search(vectors[start : start + 4_096], THRESHOLD)[0][-1])
            for start in range(0, len(vectors), 4_096)
        )
    return {"n_pairs": (n_found - len(vectors)) // 2}


def _cosines(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    out = np.empty(len(pairs))
    for start in range(0, len(pairs), 4_096):
        some = pairs[start : start + 4_096]
        one, other = vectors[some[:, 0]].astype(np.float64), vectors[some[:, 1]].astype(np.float64)
        out[start : start + 4_096] = np.einsum("ij,ij->i", one, other)
    return out


def _centroids(vectors: np.ndarray, k: int) -> np.ndarray:
    """K-means within k-means: good enough cells in a time that does not matter beside the rest."""
    sample = vectors[:: max(1, len(vectors) // (k * _SAMPLE_PER_CENTROID))]
    outer = _kmeans(sample, max(1, round(k**0.5)))
    home = (sample @ outer.T).argmax(axis=1)
    sizes = np.bincount(home, minlength=len(outer))
    parts = [_kmeans(sample[home == i], max(1, round(k * size / len(sample)))) for i, size in enumerate(sizes) if size]
    return np.concatenate(parts)


def _kmeans(rows: np.ndarray, k: int) -> np.ndarray:
    kmeans = faiss.Kmeans(
        DIM, min(k, len(rows)), niter=10, seed=_SEED, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=_SAMPLE_PER_CENTROID,
    )  # fmt: skip
    kmeans.train(np.ascontiguousarray(rows))
    return np.asarray(kmeans.centroids)


def _order(folder: Path, seed: int) -> np.ndarray:
    n = len(np.load(folder / "vectors.npy", mmap_mode="r"))
    return np.random.default_rng(seed).permutation(n) if seed else np.arange(n)


def _sketches(vectors: np.ndarray, centroids: np.ndarray) -> dict[str, np.ndarray]:
    """What is computed once a record, and kept."""
    with timed("identity"):
        same = vector_identity(vectors)
    with timed("heads"):
        heads = vector_heads(vectors, head_basis(centroids))
    with timed("cells"):
        limits, cells = near_cells(vectors, centroids, min_similarity=THRESHOLD)
    return {"same": same, "heads": heads, "limits": limits, "cells": cells}


def _links(vectors: np.ndarray, sketches: dict[str, np.ndarray], is_new: np.ndarray) -> Links:
    return cosine_links(
        vectors, sketches["limits"], sketches["cells"], is_new,
        min_similarity=THRESHOLD, identities=sketches["same"], heads=sketches["heads"],
    )  # fmt: skip


def _groups(sketches: dict[str, np.ndarray], links: Links, order: np.ndarray) -> Groups:
    """Ranks follow from the record, so they are shuffled with it."""
    rank = np.random.default_rng(_SEED).permutation(len(order))[order]
    with timed("groups"):
        return group([Kind(Reason.SEMANTIC_DUPLICATE, sketches["same"], links)], rank=rank)


def _digest(groups: Groups, order: np.ndarray) -> str:
    """Of survivor, similarity and component of each record, in the order they were made in."""
    back = np.argsort(order)
    parts = (order[groups.survivor[back]], groups.similarity[back], groups.component_size[back])
    return hashlib.blake2b(b"".join(part.tobytes() for part in parts), digest_size=8).hexdigest()


def _verdicts(
    folder: Path, vectors: np.ndarray, sketches: dict[str, np.ndarray], links: Links, groups: Groups, order: np.ndarray
) -> dict[str, Any]:
    """Share of planted pairs found, near-misses linked, members outside the threshold, survivors near each other."""
    back = np.argsort(order)
    holders = first_holders(sketches["same"])
    codes = links.first << 32 | links.second

    def is_linked(pairs: np.ndarray) -> np.ndarray:
        ends = holders[back[pairs]]
        wanted = ends.min(axis=1) << 32 | ends.max(axis=1)
        return (ends[:, 0] == ends[:, 1]) | np.isin(wanted, codes)

    members = np.flatnonzero(groups.survivor != np.arange(len(order)))
    cosines = _cosines(vectors, np.stack([members, groups.survivor[members]], axis=1))
    survives = groups.survivor == np.arange(len(order))
    return {
        "recall": float(is_linked(np.load(folder / "near.npy")).mean()),
        "near_misses_linked": int(is_linked(np.load(folder / "missed.npy")).sum()),
        "members": len(members),
        "members_outside": int((cosines < THRESHOLD).sum()),
        "linked_survivors": int((survives[links.first] & survives[links.second]).sum()),
        "largest_component": int(groups.component_size.max()),
    }


TASKS = {task.__name__: task for task in (make, rebuild, days, last_day, exact)}

if __name__ == "__main__":
    faiss.omp_set_num_threads(1)
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    answer = TASKS[name](Path(arguments.pop("folder")), **arguments)
    peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
    print(json.dumps({**answer, "seconds": seconds, "peak_rss_bytes": peak}))
