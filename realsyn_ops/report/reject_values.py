"""What rejects were measured as: the value that stands beside the limit of their reason, and the text of sentences."""

from typing import Any

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.records import Reason
from realsyn_ops.report.places import Id, among
from realsyn_ops.thresholds import Step


def measured_values(corpus: Corpus, step: Step, rows: list[dict[str, Any]]) -> dict[Id, float]:
    """By key and day; nothing for what was never measured."""
    named: list[tuple[dict[str, Any], float | None]]
    if step.stage == "pair":
        named = [(row, float(len(row["text_keys"]))) for row in rows]
    elif step.stage == "release":
        named = [(row, None if row["reason"] == Reason.CLUSTER_CAP else row["similarity"]) for row in rows]
    elif step.part == "redundancy":
        distances = _hash_distances(corpus, rows) if step.of == "images" else {}
        named = [
            (row, row["similarity"] if row["reason"] == Reason.SEMANTIC_DUPLICATE else distances.get(row["key"]))
            for row in rows
        ]
    else:
        named = [(row, row.get("value")) for row in rows]
    return {(row["key"], row["day"]): value for row, value in named if value is not None}


def sentence_texts(corpus: Corpus, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Texts of the rows' sentences, by key."""
    where = among({row["key"] for row in rows})
    found: dict[str, str] = {}
    for table in corpus.scan("sentences", ["key", "text"], where=where):
        found |= dict(zip(table["key"].to_pylist(), table["text"].to_pylist(), strict=True))
    return found


def _hash_distances(corpus: Corpus, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Bits between the perceptual hashes of duplicates and their survivors."""
    pairs = {row["key"]: row["survivor"] for row in rows if row["reason"] == Reason.PERCEPTUAL_DUPLICATE}
    hashes: dict[str, int] = {}
    for table in corpus.scan("image_embeddings", ["key", "phash"], where=among({*pairs, *pairs.values()})):
        hashes |= dict(zip(table["key"].to_pylist(), table["phash"].to_pylist(), strict=True))
    return {
        key: float((hashes[key] ^ hashes[survivor]).bit_count())
        for key, survivor in pairs.items()
        if key in hashes and survivor in hashes
    }
