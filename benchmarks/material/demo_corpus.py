"""The demo's own documents as the Dags take them, without Airflow: kept sentences, and images with their vectors.

What the Dags do beyond is left out: perplexity and entropy, languages, boilerplate, near-duplicates.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realsyn_ops.demo.documents import make_demo_input
from realsyn_ops.image_codec import decode_image
from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.plans import ClusterPlan, CuratePlan, IngestPlan
from realsyn_ops.stages.extract import Row, extract
from realsyn_ops.stages.filter import image_reason, parse_reason, sentence_text_reason

if TYPE_CHECKING:
    from realsyn_ops.kinds import Encoder, Parser

_SIDE_PX, _BATCH = 512, 64
_DAY = "2026-01-01"


@dataclass(frozen=True)
class DemoCorpus:
    """In order of the keys. ``images``: (m, dim) joint vectors, rounded to float16 as they are stored."""

    n_documents: int
    sentences: list[str]
    image_keys: list[str]
    images: np.ndarray


def demo_corpus(cache: Path, parser: "Parser", encoder: "Encoder") -> DemoCorpus:
    """Of the default demo's documents, both days."""
    images: dict[str, Row] = {}
    sentences: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        made = make_demo_input(Path(scratch) / "input", cache)
        for name in made.files:
            for tables in _extracted(made.path / name):
                images |= {row["key"]: row for row in tables["images"]}
                sentences |= {row["key"]: row["text"] for row in tables["sentences"]}
    keys, vectors = _embedded([images[key] for key in sorted(images)], encoder)
    return DemoCorpus(made.n_documents, _kept([sentences[key] for key in sorted(sentences)], parser), keys, vectors)


def _extracted(path: Path) -> Iterator[dict[str, list[Row]]]:
    plan = IngestPlan(inputs="", code="", day=_DAY)
    names = ("max_nodes", "max_document_bytes", "max_image_bytes")
    limits = Limits(**{name: getattr(plan, name) for name in names})
    with path.open("rb") as file:
        listing = list_shards(file, path.name, max_documents=plan.max_shard_documents, max_bytes=plan.max_shard_bytes)
        for shard in listing.shards:
            found = read_documents(file, shard, source="demo", limits=limits, images=listing.images)
            yield extract(found, day=_DAY, max_pixels=plan.max_image_pixels).tables


def _kept(texts: list[str], parser: "Parser") -> list[str]:
    plan = ClusterPlan(inputs="", code="", day=_DAY)
    words = {"min_words": plan.min_words, "max_words": plan.max_words}
    texts = [text for text in texts if sentence_text_reason(text, **words) is None]
    limits = {"min_relations": plan.min_relations, "min_actions": plan.min_actions}
    parses = zip(texts, parser.parse(texts), strict=True)
    return [text for text, parse in parses if parse_reason(parse.n_relations, parse.n_actions, **limits) is None]


def _embedded(rows: list[Row], encoder: "Encoder") -> tuple[list[str], np.ndarray]:
    plan = CuratePlan(inputs="", code="", day=_DAY)
    limits: dict[str, Any] = {"min_side_px": plan.min_side_px, "max_aspect": plan.max_aspect}
    kept = [row for row in rows if image_reason(row["width"], row["height"], **limits) is None]
    vectors = [np.empty((0, encoder.dim), np.float16)]
    for start in range(0, len(kept), _BATCH):
        pictures = [decode_image(row["data"], max_side=_SIDE_PX) for row in kept[start : start + _BATCH]]
        vectors.append(encoder.encode_images(pictures)[0].astype(np.float16))
    return [row["key"] for row in kept], np.concatenate(vectors)
