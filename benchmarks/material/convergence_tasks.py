"""What `benchmarks/refresh.py` and `benchmarks/scale.py` run, each task in a process of its own with one thread.

`python -m benchmarks.material.convergence_tasks TASK ARGUMENTS`: arguments as one JSON object; the last line of
standard output is one JSON object.
"""

import hashlib
import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from safetensors.numpy import load_file, save_file

from benchmarks.material.convergence import (
    Frozen,
    Known,
    cluster_sentences,
    curate_images,
    default,
    peak_bytes,
    peaks,
    seconds,
    timed,
)
from benchmarks.material.pairing import Paired, pair_texts
from benchmarks.material.whole_corpus import SENTENCES_PER_IMAGE, Vectors, make
from realsyn_ops.operators.search import CALIBRATE_IMAGES, CALIBRATE_SENTENCES
from realsyn_ops.plans import PairPlan
from realsyn_ops.stages.cluster import fit_centroids, n_clusters, n_fitted
from realsyn_ops.stages.dedup import head_basis
from realsyn_ops.stages.dedup.links import first_holders
from realsyn_ops.stages.retrieve import Sight, calibrate

ROWS_PER_CLUSTER = 420
_KINDS = ("images", "sentences")


def generate(folder: Path, n: int, day: int) -> dict[str, Any]:
    """n sentences and n / 10 images, then `day` more sentences and as many images for them; days are mixed."""
    counts = {"sentences": (n, day), "images": (n // SENTENCES_PER_IMAGE, day // SENTENCES_PER_IMAGE)}
    make(folder, n_sentences=n + day, n_images=sum(counts["images"]))
    for kind, (before, more) in counts.items():
        new = np.random.default_rng(1).permutation(before + more)[:more]
        np.save(folder / f"new_{kind}.npy", np.isin(np.arange(before + more), new))
    return {}


def fit(folder: Path) -> dict[str, Any]:
    """Centroids and sight of the days before: made once for all days, hence measured by themselves."""
    for kind, file in (("sentences", "sentences"), ("images", "visual")):
        vectors = _vectors(folder, kind, file, everything=False)
        k = n_clusters(len(vectors), rows_per_cluster=ROWS_PER_CLUSTER)
        with timed(f"{kind}: centroids"):
            centroids = fit_centroids(vectors.at(_drawn(len(vectors), n_fitted(k))), k=k, seed=0)
        with timed(f"{kind}: basis"):
            basis = head_basis(centroids)
        np.savez(folder / f"frozen_{kind}.npz", centroids=centroids, basis=basis)
    images, sentences = (_vectors(folder, kind, kind, everything=False) for kind in _KINDS)
    with timed("pair: sight"):
        sight = calibrate(
            images.unit(_drawn(len(images), CALIBRATE_IMAGES)),
            sentences.unit(_drawn(len(sentences), CALIBRATE_SENTENCES)),
            target_recall=default(PairPlan, "target_recall"),
            n_texts=3,
            seed=0,
            n_sentences=len(sentences),
            everything=_everything(sentences) if len(sentences) > CALIBRATE_SENTENCES else None,
        )
    save_file(sight.to_arrays(), folder / "sight.safetensors")
    return {"clusters": sight.n_clusters, "basis": sight.basis.shape[1], "reach": sight.reach}


def _everything(sentences: Vectors) -> Iterator[np.ndarray]:
    """Parts of all sentences, as `operators.search.calibrate` gives them for more than its sample."""
    for start in range(0, len(sentences), CALIBRATE_SENTENCES):
        yield sentences.unit(np.arange(start, min(start + CALIBRATE_SENTENCES, len(sentences))))


def rebuild(folder: Path, *, everything: bool, memory_bytes: int) -> dict[str, Any]:
    """All steps for all records, or for those of the days before: then what the tables would hold is kept."""
    return _run(folder, everything=everything, memory_bytes=memory_bytes, known=None)


def day(folder: Path, memory_bytes: int) -> dict[str, Any]:
    """All steps for the new records, with what the days before have left."""
    is_new = {kind: np.load(folder / f"new_{kind}.npy") for kind in _KINDS}
    known = {kind: Known.of_arrays(_load(folder, f"known_{kind}")) for kind in _KINDS}
    old = {kind: np.flatnonzero(~new) for kind, new in is_new.items()}
    paired = Paired(**_load(folder, "paired")).moved(old["images"], old["sentences"])
    return _run(folder, everything=True, memory_bytes=memory_bytes, known=(known, paired))


def _run(
    folder: Path, *, everything: bool, memory_bytes: int, known: tuple[dict[str, Known], Paired] | None
) -> dict[str, Any]:
    fixed = peak_bytes()
    is_new = {kind: np.load(folder / f"new_{kind}.npy") for kind in _KINDS}
    places = {kind: np.arange(len(new)) if everything else np.flatnonzero(~new) for kind, new in is_new.items()}
    if known is None:
        is_new = {kind: np.ones(len(there), bool) for kind, there in places.items()}
    of, paired_before = known or ({}, None)
    frozen = {kind: Frozen(**_load(folder, f"frozen_{kind}")) for kind in _KINDS}
    hashes, pixels = (np.load(folder / f"{name}.npy")[places["images"]] for name in ("hashes", "pixels"))
    texts = (folder / "texts.txt").read_text().splitlines()
    texts = [texts[place] for place in places["sentences"].tolist()]
    images = curate_images(
        _vectors(folder, "images", "visual", everything=everything), hashes, pixels, frozen["images"],
        is_new["images"], of.get("images"), memory_bytes=memory_bytes,
    )  # fmt: skip
    joint, vectors = (_vectors(folder, kind, kind, everything=everything) for kind in _KINDS)
    sentences = cluster_sentences(
        vectors, texts, frozen["sentences"], is_new["sentences"], of.get("sentences"), memory_bytes=memory_bytes
    )
    kept = tuple(np.flatnonzero(one.survivor == np.arange(len(one.survivor))) for one in (images, sentences))
    sight = Sight.from_arrays(load_file(folder / "sight.safetensors"))
    paired, found = pair_texts(
        joint, vectors, (kept[0], kept[1]), frozen["sentences"].centroids, sight, known=paired_before,
        memory_bytes=memory_bytes,
    )  # fmt: skip
    made = {"images": images, "sentences": sentences}
    if not everything:
        for kind, one in made.items():
            np.savez(folder / f"known_{kind}.npz", **one.arrays())  # type: ignore[arg-type]
        np.savez(folder / "paired.npz", **paired.__dict__)
    light = sum(array.nbytes for one in made.values() for array in one.arrays().values())
    light += sum(array.nbytes for array in paired.__dict__.values())
    light += sum(sys.getsizeof(text) + 8 for text in texts)
    return {
        "digests": {kind: _digest(one) for kind, one in made.items()} | {"texts": _digest_of_texts(paired)},
        "n_links": {kind: {str(r): len(links) for r, links in one.links.items()} for kind, one in made.items()},
        "kept": {kind: len(rows) for kind, rows in zip(_KINDS, kept, strict=True)},
        "cells_per_record": {kind: len(one.cells) / len(one.survivor) for kind, one in made.items()},
        "light_bytes": light,
        "fixed_bytes": fixed,
        **found,
    }


def _vectors(folder: Path, kind: str, file: str, *, everything: bool) -> Vectors:
    is_new = np.load(folder / f"new_{kind}.npy")
    return Vectors(folder / f"{file}.npy", np.arange(len(is_new)) if everything else np.flatnonzero(~is_new))


def _drawn(n: int, wanted: int) -> np.ndarray:
    return np.sort(np.random.default_rng(2).permutation(n)[:wanted])


def _load(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def _digest(known: Known) -> str:
    """Of links between first holders, survivors and similarities, as they are published."""
    values = (known.identity, known.vector_hash)
    named = [links.at(first_holders(value)) for links, value in zip(known.links.values(), values, strict=True)]
    parts = [known.cells, known.survivor, known.similarity]
    parts += [array for links in named for array in (links.first, links.second, links.similarity)]
    return _digest_of(parts)


def _digest_of_texts(paired: Paired) -> str:
    return _digest_of([paired.images, paired.sentences, paired.clusters, paired.positions, paired.similarities])


def _digest_of(arrays: list[np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()


TASKS = {task.__name__: task for task in (generate, fit, rebuild, day)}

if __name__ == "__main__":
    faiss.omp_set_num_threads(1)
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    answer = TASKS[name](Path(arguments.pop("folder")), **arguments)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    whole = {"process_cpu_seconds": usage.ru_utime + usage.ru_stime, "peaks": peaks, "seconds": seconds}
    print(json.dumps({**answer, **whole}))
