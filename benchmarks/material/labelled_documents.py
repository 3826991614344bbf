"""Documents of stamps, some of which are held out with their labels; and those as sets that clip-benchmark reads.

Pages are composed as the demo's: a few stamps of a subject among definitions, most of which tell of something else,
and pages of manuals beside them. A subject whose definitions have a word for what it shows is labelled with it
(`CLASSES`).
"""

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.material.stamp_labels import flat
from realsyn_ops.demo.dictionary import (
    PACKAGES,
    SOURCE,
    STAMPS,
    SUBJECTS,
    WORDNET,
    Picture,
    assign_pictures,
    compose_subject,
    write_dictionary,
)
from realsyn_ops.demo.documents import choose
from realsyn_ops.demo.manuals import MANUALS, find_pages, write_manuals
from realsyn_ops.demo.manuals import SOURCE as MANUALS_SOURCE
from realsyn_ops.demo.packages import fetch
from realsyn_ops.demo.wordnet import read_nouns
from realsyn_ops.plans import CuratePlan
from realsyn_ops.records import hash_order, image_key

CLASSES = {
    "birds": "bird", "buildings": "building", "clothes": "garment", "fish-and-shellfish": "fish", "flowers": "flower",
    "fruit-and-nuts": "fruit", "insects": "insect", "mammals": "mammal", "music": "musical instrument", "tools": "tool",
    "trees": "tree", "vegetables": "vegetable", "vehicles": "vehicle",
}  # fmt: skip
_TEMPLATES = ("a photo of a {c}.", "a picture of a {c}.", "a {c}.")
_HELD_OUT, _SEED = 0.4, 6
_PAGE_DEFINITIONS = 15
_MANUAL_PAGES = 8
_SIDE_PX = 320


@dataclass(frozen=True)
class HeldOut:
    """A picture that no page has, the line that comes with it, and its place among the words of `CLASSES`.

    ``key``: the one its file would have in a corpus.
    """

    key: str
    picture: Image.Image
    line: str
    label: int


def write_documents(into: Path, cache: Path, day: str) -> list[HeldOut]:
    """Writes ``into/DAY/SOURCE/FILE`` and returns what is on no page, in order of key."""
    packages = fetch([*PACKAGES, *(manual.package for manual in MANUALS)], cache)
    pictures = assign_pictures(packages[PACKAGES[0]] / STAMPS, SUBJECTS)
    nouns = read_nouns(packages[PACKAGES[1]] / WORDNET)
    held_out, pages = [], []
    for subject in SUBJECTS:
        apart = [picture for picture in pictures[subject.name] if subject.name in CLASSES and _is_apart(picture)]
        held_out += [_held_out(picture, list(CLASSES).index(subject.name)) for picture in apart]
        shown = [picture for picture in pictures[subject.name] if picture not in apart]
        pages += compose_subject(subject, shown, nouns, page_definitions=_PAGE_DEFINITIONS)
    write_dictionary(pages, into / day / SOURCE / "pages.parquet")
    found = [page for manual in MANUALS for page in find_pages(manual, packages[manual.package])]
    write_manuals(choose(found, _MANUAL_PAGES)[0], into / day / MANUALS_SOURCE)
    return sorted(held_out, key=lambda one: one.key)


def is_near(hashes: np.ndarray, vectors: np.ndarray, other_hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) whether a picture is a near-duplicate of one of the others by the limits of `curate_images`."""
    bits = np.bitwise_count(hashes[:, None] ^ other_hashes[None, :]).min(axis=1, initial=64)
    cosines = (vectors @ others.T).max(axis=1, initial=-1)
    return (bits <= CuratePlan.max_hash_distance) | (cosines >= CuratePlan.min_visual_similarity)


def evaluation_files(held_out: Sequence[HeldOut]) -> dict[str, bytes]:
    """Two sets by path: what a stamp shows, of the words of `CLASSES`, and which line is which stamp's."""
    data = [_png(one.picture) for one in held_out]
    samples = list(zip(held_out, data, strict=True))
    return {
        "classes/classnames.txt": "\n".join(CLASSES.values()).encode(),
        "classes/zeroshot_classification_templates.txt": "\n".join(_TEMPLATES).encode(),
        "classes/test/nshards.txt": b"1",
        "classes/test/0.tar": _tar([(one.key, {"png": png, "cls": str(one.label).encode()}) for one, png in samples]),
        "lines/dataset_type.txt": b"retrieval",
        "lines/test/nshards.txt": b"1",
        "lines/test/0.tar": _tar([(one.key, {"png": png, "txt": one.line.encode()}) for one, png in samples]),
    }


def _tar(samples: Sequence[tuple[str, dict[str, bytes]]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for key, sample in samples:
            for kind, data in sample.items():
                member = tarfile.TarInfo(f"{key}.{kind}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def _held_out(picture: Picture, label: int) -> HeldOut:
    small = flat(Image.open(picture.path))
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    return HeldOut(image_key(picture.path.read_bytes()), small, picture.alt, label)


def _is_apart(picture: Picture) -> bool:
    return hash_order(picture.name, _SEED)[0] < _HELD_OUT * 256


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
