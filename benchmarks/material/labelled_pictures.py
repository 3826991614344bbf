"""Pictures with labels in a long tail, as a model sees them: stamps made many of, and the demo's own documents."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.material.stamp_labels import read_definitions, read_stamps
from realsyn_ops.demo.dictionary import SOURCE
from realsyn_ops.demo.documents import make_demo_input
from realsyn_ops.demo.packages import fetch
from realsyn_ops.image_codec import decode_image
from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.plans import CuratePlan, IngestPlan
from realsyn_ops.records import Document, ImageNode
from realsyn_ops.stages.dedup import near_duplicates
from realsyn_ops.stages.filter import image_reason

_SIDE_PX = 160
_BATCH = 64
_SEED = 1
_LIMITS = Limits(
    max_nodes=IngestPlan.max_nodes,
    max_document_bytes=IngestPlan.max_document_bytes,
    max_image_bytes=IngestPlan.max_image_bytes,
)

Look = Callable[[list[Image.Image]], tuple[np.ndarray, list[list[str]]]]
"""Of pictures their vectors among images (n, d), and their tags."""


@dataclass(frozen=True)
class Labelled:
    """``labels`` (n,) whole numbers that nothing but the score sees, ``vectors`` (n, d), tags of each."""

    labels: np.ndarray
    vectors: np.ndarray
    tags: list[list[str]]


def demo_model(home: Path) -> Look:
    """The encoder and tagger of `demo`."""
    from realsyn_ops.models.demo_encoder import DemoEncoder  # torch: not for those who only list the benchmarks
    from realsyn_ops.models.tagger import ClassTagger

    encoder, tagger = DemoEncoder(home / "models", "cpu"), ClassTagger("cpu")

    def look(pictures: list[Image.Image]) -> tuple[np.ndarray, list[list[str]]]:
        vectors = encoder.encode_images(pictures)[1]
        return vectors, tagger.tag(pictures, vectors)

    return look


def demo_pictures(cache: Path, look: Look) -> Labelled:
    """The pictures of the default demo that pass the paper's rules, freed of near-duplicates as `curate_images` does.

    A stamp's label is the line that says what it shows, a manual's picture has the manual's name: a few large groups
    and some hundred small ones.
    """
    with TemporaryDirectory(dir=cache) as scratch:
        found = {node.data: label for node, label in _demo_nodes(Path(scratch) / "input", cache) if node.data}
    pictures, names = [], []
    for data, label in sorted(found.items()):
        picture = decode_image(data, max_side=2 * _SIDE_PX)
        if not image_reason(*picture.size, min_side_px=CuratePlan.min_side_px, max_aspect=CuratePlan.max_aspect):
            pictures.append(picture)
            names.append(label)
    vectors, tags = _looked_at(iter(pictures), look)
    groups = near_duplicates(vectors, rank=np.arange(len(vectors)), min_similarity=CuratePlan.min_visual_similarity)
    kept = np.flatnonzero([reason is None for reason in groups.reason])
    labels = np.unique(names, return_inverse=True)[1]
    return Labelled(labels[kept], vectors[kept], [tags[i] for i in kept])


def _demo_nodes(into: Path, cache: Path) -> Iterator[tuple[ImageNode, str]]:
    made = make_demo_input(into, cache)
    for name in made.files:
        source = name.split("/")[1]
        with (made.path / name).open("rb") as raw:
            listing = list_shards(raw, name, max_documents=1_000, max_bytes=2**30)
            for shard in listing.shards:
                for document in read_documents(raw, shard, source=source, limits=_LIMITS, images=listing.images):
                    if isinstance(document, Document):
                        for node in document.nodes:
                            if isinstance(node, ImageNode):
                                yield node, node.alt if source == SOURCE else Path(name).name


def long_tail(cache: Path, look: Look, *, n: int) -> Labelled:
    """n pictures made of stamps: a label drawn by Zipf's law, labels in random order, and one of its stamps."""
    stamps = _stamps(cache)
    rng = np.random.default_rng(_SEED)
    weights = 1 / np.arange(1, len(stamps) + 1)
    labels = rng.permutation(len(stamps))[rng.choice(len(stamps), n, p=weights / weights.sum())]
    pictures = (_varied(stamps[label][rng.integers(len(stamps[label]))], rng) for label in labels)
    return Labelled(labels, *_looked_at(pictures, look))


def _stamps(cache: Path) -> list[list[Image.Image]]:
    """The stamps of each label, small."""
    packages = fetch(["tuxpaint-stamps-default", "wordnet-base"], cache)
    definitions = read_definitions(packages["wordnet-base"] / "usr/share/wordnet")
    found: dict[str, list[Image.Image]] = {}
    for stamp in read_stamps(packages["tuxpaint-stamps-default"] / "usr/share/tuxpaint/stamps", definitions):
        if stamp.synset:
            stamp.picture.thumbnail((2 * _SIDE_PX, 2 * _SIDE_PX))
            found.setdefault(stamp.synset, []).append(stamp.picture)
    return [found[synset] for synset in sorted(found)]


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


def _looked_at(pictures: Iterator[Image.Image], look: Look) -> tuple[np.ndarray, list[list[str]]]:
    """Vectors and tags, some pictures at a time."""
    vectors, tags = [], []
    while some := list(islice(pictures, _BATCH)):
        seen, named = look(some)
        vectors.append(seen)
        tags += named
    return np.concatenate(vectors), tags
