"""What balance is worth: groups of labels covered and their entropy, at the same size as a uniform draw.

A long tail made of Tux Paint's labelled stamps: label after label in random order gets as many pictures as Zipf's law
gives it, each a stamp of its own label turned, cropped, lit and mirrored in its own way. The `demo` encoder and tagger
look at them; clusters are fitted on the pictures themselves, as a first release does, and nothing sees a label. Nothing
is tuned on them: the numbers are the defaults of `release_dataset`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance
from rich.console import Console

from benchmarks.material.stamp_labels import read_definitions, read_stamps
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.demo.packages import fetch
from realsyn_ops.plans import ReleasePlan
from realsyn_ops.stages.cluster import assign, fit_centroids, n_clusters
from realsyn_ops.stages.sample import (
    Bounds,
    Rows,
    cluster_sizes,
    high_draws,
    select,
    solved_scales,
    tag_draws,
    tag_hashes,
)

SUMMARY = "labels covered and their entropy in a long tail of pictures: balanced beside uniform at the same size"
SHARES = (0.15, 0.3)
_WIDE = Bounds(-1.0, 1.0)
_SIDE_PX = 160
_BATCH = 64
_TAIL_SEED, _KEY_SEED = 1, 2
_MEMORY_BYTES = 2**28
_MORE = 1e-9


def measure(home: Path, console: Console, *, images: int = 1_200, draws: int = 10) -> Measurement:
    """Checks that balanced is better in both at every size, on average over the draws; tags stand beside."""
    stamps = _stamps(home / "cache")
    console.print(f"{images} pictures of {len(stamps)} labels", highlight=False)
    labels, vectors, tags = _tail(stamps, _model(home), n=images)
    k = n_clusters(images, rows_per_cluster=ReleasePlan.images_per_cluster)
    clusters = assign(vectors, fit_centroids(vectors, k=k, seed=ReleasePlan.seed))[0][:, 0].astype(np.int32)
    all_of_them = _spread(labels)
    figures: dict[str, Any] = {"all pictures": _row([all_of_them])}
    checks = []
    for share in SHARES:
        taken = [_selections(clusters, tags, size=round(share * images), seed=seed) for seed in range(draws)]
        found = {balance: np.array([_spread(labels[one[balance]]) for one in taken]) for balance in taken[0]}
        figures |= {f"{balance}, {share:.0%}": _row(each) for balance, each in found.items()}
        gains = (found["clusters"] - found["uniform"]).mean(axis=0)
        for name, gain in zip(("labels covered", "entropy in bits"), gains.tolist(), strict=True):
            checks.append(Check(f"{name} at {share:.0%}, balanced less uniform", gain, ">=", _MORE))
    data = f"{images} pictures of {len(np.unique(labels))} labels in {k} clusters, {draws} draws"
    return Measurement(data, figures, checks)


def _row(each: Any) -> dict[str, float]:
    (labels, entropy), deviations = np.mean(each, axis=0).tolist(), np.std(each, axis=0).tolist()
    return {"labels": labels, "+-": deviations[0], "entropy in bits": entropy, "+- bits": deviations[1]}


def _stamps(cache: Path) -> list[list[Image.Image]]:
    """The stamps of each label, small."""
    packages = fetch(["tuxpaint-stamps-default", "wordnet-base"], cache)
    definitions = read_definitions(packages["wordnet-base"] / "usr/share/wordnet")
    found: dict[str, list[Image.Image]] = {}
    for picture, synset in read_stamps(packages["tuxpaint-stamps-default"] / "usr/share/tuxpaint/stamps", definitions):
        if synset:
            picture.thumbnail((2 * _SIDE_PX, 2 * _SIDE_PX))
            found.setdefault(synset, []).append(picture)
    return [found[synset] for synset in sorted(found)]


Look = Callable[[list[Image.Image]], tuple[np.ndarray, list[list[str]]]]


def _model(home: Path) -> Look:
    """Looks at pictures: their vectors among images, and their tags."""
    from realsyn_ops.models.demo_encoder import DemoEncoder  # torch: not for those who only list the benchmarks
    from realsyn_ops.models.tagger import ClassTagger

    encoder, tagger = DemoEncoder(home / "models", "cpu"), ClassTagger("cpu")
    return lambda pictures: (encoder.encode_images(pictures)[1], tagger.tag(pictures))


def _tail(stamps: list[list[Image.Image]], look: Look, *, n: int) -> tuple[np.ndarray, np.ndarray, list[list[str]]]:
    """Labels (n,), vectors and tags of n pictures, made and looked at some at a time."""
    rng = np.random.default_rng(_TAIL_SEED)
    weights = 1 / np.arange(1, len(stamps) + 1)
    labels = rng.permutation(len(stamps))[rng.choice(len(stamps), n, p=weights / weights.sum())]
    vectors, tags = [], []
    for start in range(0, n, _BATCH):
        pictures = [
            _varied(stamps[label][rng.integers(len(stamps[label]))], rng) for label in labels[start : start + _BATCH]
        ]
        seen, named = look(pictures)
        vectors.append(seen)
        tags += named
    return labels, np.concatenate(vectors), tags


def _varied(stamp: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A picture of its own: turned by up to 25 degrees, cropped by up to a third, mirrored, lighter or darker."""
    turned = stamp.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR, fillcolor=(255, 255, 255))
    width, height = (round(side * rng.uniform(0.67, 1)) for side in turned.size)
    left, top = (int(rng.integers(whole - part + 1)) for whole, part in zip(turned.size, (width, height), strict=True))
    part = turned.crop((left, top, left + width, top + height))
    if rng.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    part = ImageEnhance.Color(ImageEnhance.Brightness(part).enhance(rng.uniform(0.6, 1.4))).enhance(
        rng.uniform(0.3, 1.7)
    )
    return part.resize((_SIDE_PX, _SIDE_PX))


def _selections(clusters: np.ndarray, tags: list[list[str]], *, size: int, seed: int) -> dict[str, np.ndarray]:
    """The pictures that each balance takes."""
    n = len(clusters)
    words = np.random.default_rng(_KEY_SEED).integers(0, 2**64, (n, 2), dtype=np.uint64)
    high = high_draws(words[:, 0], seed=seed)
    similarities, one = np.zeros(n, np.float32), np.zeros(n, np.int32)
    names, of_tags = np.unique([tag for each in tags for tag in each], return_inverse=True)
    limits = np.r_[0, np.cumsum([len(each) for each in tags])]
    by_tags = tag_draws(high, limits, tag_hashes(names.tolist())[of_tags], np.bincount(of_tags)[of_tags])
    found = {}
    for balance, rows in {
        "clusters": Rows(high, words[:, 1], clusters, similarities),
        "tags": Rows(by_tags, high, one, similarities),
        "uniform": Rows(high, words[:, 1], one, similarities),
    }.items():
        sizes = cluster_sizes([(rows.clusters, similarities)], _WIDE, n_clusters=int(rows.clusters.max()) + 1)
        scales = solved_scales(sizes, [size])
        selection = select(partial(_once, rows), _WIDE, sizes, scales, memory_bytes=_MEMORY_BYTES)
        found[balance] = np.flatnonzero(selection.places(rows) == 0)
    return found


def _once(rows: Rows) -> Iterator[Rows]:
    yield rows


def _spread(labels: np.ndarray) -> tuple[float, float]:
    """How many labels there are, and the entropy of their shares in bits."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(len(shares)), float(-(shares * np.log2(shares)).sum())
