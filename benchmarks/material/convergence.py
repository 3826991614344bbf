"""Near-duplicates over all days as `operators/links.py` and `duplicates.py` find them, without tables.

Vectors are read in parts within a memory budget. Each step's CPU-seconds and the process's peak memory meanwhile are
in `seconds` and `peaks`. What a day has of the days before is what the tables hold: `Known`.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.material.whole_corpus import Vectors
from realsyn_ops.plans import ClusterPlan, CuratePlan
from realsyn_ops.records import Reason
from realsyn_ops.stages.dedup import (
    Kind,
    Links,
    cosine_links,
    group,
    hash_links,
    merge_links,
    near_cells,
    rows_near,
    text_bands,
    text_identity,
    text_links,
    vector_heads,
    vector_identity,
)

_ASSIGN_ROWS = 100_000
_BLOCK = 4_096
_REASONS = (Reason.PERCEPTUAL_DUPLICATE, Reason.SEMANTIC_DUPLICATE)
seconds: dict[str, float] = {}
peaks: dict[str, int] = {}


def default(plan: type, field: str) -> float:
    return float(plan.__dataclass_fields__[field].default)  # type: ignore[attr-defined]


@contextmanager
def timed(step: str) -> Iterator[None]:
    """CPU-seconds of the step, and how much memory the process has held at most meanwhile."""
    Path("/proc/self/clear_refs").write_text("5")
    started = time.process_time()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.process_time() - started
    peaks[step] = max(peaks.get(step, 0), peak_bytes())


def peak_bytes() -> int:
    """VmHWM: the most memory that the process has held since it started, or since `timed` set it back."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


@dataclass(frozen=True)
class Frozen:
    """Of a codebook: centroids (k, d), and the basis (d, h) of heads."""

    centroids: np.ndarray
    basis: np.ndarray


@dataclass(frozen=True)
class Known:
    """Of n records: cells[limits[i] : limits[i + 1]], home first; heads (n, h + 1) float16; hashes of vectors (n,) and
    of pictures or letters (n,); MinHash keys (n, b); links; survivor and similarity to it (n,)."""

    limits: np.ndarray
    cells: np.ndarray
    heads: np.ndarray
    vector_hash: np.ndarray
    identity: np.ndarray
    bands: np.ndarray
    links: dict[Reason, Links]
    survivor: np.ndarray
    similarity: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """For `of_arrays`."""
        plain = {name: value for name, value in self.__dict__.items() if isinstance(value, np.ndarray)}
        return plain | {
            f"{reason}.{name}": getattr(links, name)
            for reason, links in self.links.items()
            for name in ("first", "second", "similarity")
        }

    @staticmethod
    def of_arrays(arrays: dict[str, np.ndarray]) -> "Known":
        links = {
            reason: Links(*(arrays[f"{reason}.{name}"] for name in ("first", "second", "similarity")))
            for reason in _REASONS
        }
        columns: dict[str, Any] = {name: value for name, value in arrays.items() if "." not in name}
        return Known(**columns, links=links)


def curate_images(
    vectors: Vectors, hashes: np.ndarray, pixels: np.ndarray, frozen: Frozen, is_new: np.ndarray,
    known: Known | None, *, memory_bytes: int,
) -> Known:  # fmt: skip
    """Links and groups of all images, of which the new ones are linked with all; known: of those that are not new."""
    least = default(CuratePlan, "min_visual_similarity")
    sketches = _sketches("images", vectors, frozen, is_new, known, least)
    semantic = _cosine_links("images", vectors, sketches, is_new, len(frozen.centroids), least, memory_bytes)
    with timed("images: hashes"):
        perceptual = hash_links(hashes, is_new, max_distance=int(default(CuratePlan, "max_hash_distance")))
    sketches |= {"identity": hashes, "bands": np.empty((len(vectors), 0), np.uint64)}
    return _grouped("images", vectors, sketches, (perceptual, semantic), is_new, known, pixels)


def cluster_sentences(
    vectors: Vectors, texts: Sequence[str], frozen: Frozen, is_new: np.ndarray, known: Known | None, *,
    memory_bytes: int,
) -> Known:  # fmt: skip
    """Links and groups of all sentences, as for images; texts (n,)."""
    least = default(ClusterPlan, "min_similarity")
    with timed("sentences: letters"):
        fresh = [texts[i] for i in np.flatnonzero(is_new).tolist()]
        letters = np.array([text_identity(text) for text in fresh], np.uint64)
        before = _columns(known)
        letters = filled(letters, is_new, before.get("identity"))
        bands = filled(text_bands(fresh), is_new, before.get("bands"))
    sketches = _sketches("sentences", vectors, frozen, is_new, known, least)
    semantic = _cosine_links("sentences", vectors, sketches, is_new, len(frozen.centroids), least, memory_bytes)
    with timed("sentences: texts"):
        least = default(ClusterPlan, "min_jaccard")
        perceptual = text_links(texts, bands, is_new, min_jaccard=least, identities=letters)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    sketches |= {"identity": letters, "bands": bands}
    return _grouped("sentences", vectors, sketches, (perceptual, semantic), is_new, known, lengths)


def _sketches(
    name: str, vectors: Vectors, frozen: Frozen, is_new: np.ndarray, known: Known | None, min_similarity: float
) -> dict[str, np.ndarray]:
    """Limits, cells, heads and hashes of the vectors of all records: the new ones' are made, a shard at a time."""
    new = np.flatnonzero(is_new)
    counts, cells, hashes = [np.empty(0, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.uint64)]
    heads = np.empty((len(new), frozen.basis.shape[1] + 1), np.float16)
    for start in range(0, len(new), _ASSIGN_ROWS):
        mine = new[start : start + _ASSIGN_ROWS]
        with timed(f"{name}: identity"):
            hashes.append(vector_identity(vectors.stored(mine)))
        with timed(f"{name}: cells"):
            rows = vectors.unit(mine)
            limits, near = near_cells(rows, frozen.centroids, min_similarity=min_similarity)
            counts.append(np.diff(limits))
            cells.append(near)
        with timed(f"{name}: heads"):
            heads[start : start + _ASSIGN_ROWS] = vector_heads(rows, frozen.basis)
        del rows
    before = _columns(known)
    heads = filled(heads, is_new, before.get("heads"))
    same = filled(np.concatenate(hashes), is_new, before.get("vector_hash"))
    all_counts = filled(np.concatenate(counts), is_new, before.get("counts"))
    near = filled(np.concatenate(cells), np.repeat(is_new, all_counts), before.get("cells"))
    return {"limits": np.r_[0, np.cumsum(all_counts)], "cells": near, "heads": heads, "vector_hash": same}


def _columns(known: Known | None) -> dict[str, np.ndarray]:
    return {} if known is None else {**known.arrays(), "counts": np.diff(known.limits)}


def filled(new: np.ndarray, is_new: np.ndarray, old: np.ndarray | None) -> np.ndarray:
    """The values of the new rows and of the old ones (None: there are none), each in its place."""
    if old is None:
        return new
    whole = np.empty((len(is_new), *new.shape[1:]), new.dtype)
    whole[is_new], whole[~is_new] = new, old
    return whole


def _cosine_links(
    name: str, vectors: Vectors, sketches: dict[str, np.ndarray], is_new: np.ndarray, n_cells: int,
    min_similarity: float, memory_bytes: int,
) -> Links:  # fmt: skip
    """Range by range of cells. Of the vectors only candidates are read."""
    parts = []
    limits, cells, heads, same = (sketches[column] for column in ("limits", "cells", "heads", "vector_hash"))
    with timed(f"{name}: ranges"):
        max_rows = memory_bytes // (4 * heads.shape[1])
        ranges = cell_ranges(limits, cells, is_new, n_cells=n_cells, max_rows=max_rows)
    for low, high in ranges:
        with timed(f"{name}: links"):
            counts = np.diff(limits)
            mine = rows_near(limits, cells, (low, high))
            is_mine = np.zeros(len(counts), bool)
            is_mine[mine] = True
            links = cosine_links(
                vectors.at(mine),
                np.r_[0, np.cumsum(counts[mine])],
                cells[np.repeat(is_mine, counts)],
                is_new[mine],
                min_similarity=min_similarity,
                cell_range=(low, high),
                identities=same[mine],
                heads=heads[mine],
            )
            parts.append(links.at(mine))
    return merge_links(parts)


def cell_ranges(
    limits: np.ndarray, cells: np.ndarray, is_new: np.ndarray, *, n_cells: int, max_rows: int
) -> list[tuple[int, int]]:
    """Ranges of cells near which no more than so many records lie, one cell aside; only those with a new record."""
    if len(is_new) <= max_rows:
        return [(0, n_cells)] if is_new.any() else []
    sizes = np.bincount(cells, minlength=n_cells)
    has_new = np.bincount(cells[np.repeat(is_new, np.diff(limits))], minlength=n_cells) > 0
    ranges, low, held = [], 0, 0
    for cell, size in enumerate(sizes.tolist()):
        if cell > low and held + size > max_rows:
            ranges.append((low, cell))
            low, held = cell, 0
        held += size
    ranges.append((low, n_cells))
    return [r for r in ranges if has_new[r[0] : r[1]].any()]


def _grouped(
    name: str, vectors: Vectors, sketches: dict[str, np.ndarray], found: tuple[Links, Links], is_new: np.ndarray,
    known: Known | None, sizes: np.ndarray,
) -> Known:  # fmt: skip
    with timed(f"{name}: groups"):
        links = dict(zip(_REASONS, found, strict=True))
        if known is not None:
            old = np.flatnonzero(~is_new)
            links = {reason: merge_links([known.links[reason].at(old), some]) for reason, some in links.items()}
        values = dict(zip(_REASONS, (sketches["identity"], sketches["vector_hash"]), strict=True))
        kinds = [Kind(reason, values[reason], links[reason]) for reason in _REASONS]
        groups = group(kinds, rank=np.argsort(np.lexsort((np.arange(len(sizes)), -sizes))))
        similarity = groups.similarity
        unmeasured = np.flatnonzero(np.isnan(similarity))
        for start in range(0, len(unmeasured), _BLOCK):
            some = unmeasured[start : start + _BLOCK]
            similarity[some] = _cosines(vectors, some, groups.survivor[some]).round(6)
    return Known(**sketches, links=links, survivor=groups.survivor, similarity=similarity)


def _cosines(vectors: Vectors, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    places = np.unique(second)
    others = vectors.unit(places)[np.searchsorted(places, second)]
    return np.einsum("ij,ij->i", vectors.unit(first).astype(np.float64), others.astype(np.float64))
