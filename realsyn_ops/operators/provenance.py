"""Where the images and sentences of a release come from: the first place of each, by day, document and node."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

if TYPE_CHECKING:
    from realsyn_ops.io.corpus import Corpus

_KEYS_AT_A_TIME = 2_000


@dataclass(frozen=True)
class Place:
    """A node of a document. url: the document's address, or where it lies in the raw input; src: an image's name."""

    document_key: str
    url: str
    node: int
    src: str = ""

    @property
    def image_url(self) -> str:
        """Where the image can be fetched; of one that is part of its document the document and the node."""
        if self.src.startswith("data:"):
            return f"{self.url}#node-{self.node}"
        scheme, found, rest = self.url.partition("://")
        is_bundle = scheme not in {"http", "https"} and bool(found)  # urljoin knows no others
        joined = urljoin(f"https://{rest}" if is_bundle else self.url, self.src)
        within = is_bundle and joined.startswith(f"https://{rest.split('/')[0]}/") and "://" not in self.src
        return joined.replace("https", scheme, 1) if within else joined


def first_places(corpus: "Corpus", nodes: str, keys: set[str]) -> dict[str, Place]:
    """The first place of each key in a table of nodes (`image_nodes`, `sentence_nodes`)."""
    columns = ["key", "day", "document_key", "node", *(["src"] if nodes == "image_nodes" else [])]
    found: dict[str, dict[str, Any]] = {}
    for row in _of_keys(corpus, nodes, columns, keys):
        before = found.setdefault(row["key"], row)
        if _order(row) < _order(before):
            found[row["key"]] = row
    urls = _document_urls(corpus, {row["document_key"] for row in found.values()})
    return {
        key: Place(row["document_key"], urls[row["document_key"]], row["node"], row.get("src") or "")
        for key, row in found.items()
    }


def release_provenance(corpus: "Corpus", pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each pair the columns of a release that say where its image and its texts come from, and what made it."""
    images = first_places(corpus, "image_nodes", {pair["key"] for pair in pairs})
    texts = first_places(corpus, "sentence_nodes", {key for pair in pairs for key in pair["text_keys"]})
    models = _models(corpus)
    rows = []
    for pair in pairs:
        place, of_texts = images[pair["key"]], [texts[key] for key in pair["text_keys"]]
        row: dict[str, Any] = {"url": place.image_url, "document_key": place.document_key, "document_url": place.url}
        row |= {"node": place.node, "models": models.get(pair["made_by"], "")}
        row |= {"text_document_urls": [text.url for text in of_texts], "text_nodes": [text.node for text in of_texts]}
        rows.append(row)
    return rows


def _document_urls(corpus: "Corpus", keys: set[str]) -> dict[str, str]:
    rows = sorted(_of_keys(corpus, "documents", ["key", "day", "url", "file", "record"], keys), key=lambda r: r["day"])
    return {r["key"]: r["url"] or f"{corpus.bucket.uri(r['file'])}/{r['record']}" for r in reversed(rows)}


def _models(corpus: "Corpus") -> dict[str, str]:
    """By what the rows of `pairs` are made by, the models as one JSON object."""
    from realsyn_ops.io.recorded_plans import recorded_plans
    from realsyn_ops.operators.retrieval import made_by
    from realsyn_ops.plans import PairPlan
    from realsyn_ops.thresholds import PAIR

    plans = (PairPlan.from_json(json.dumps(values)) for values in recorded_plans(corpus.bucket, PAIR))
    return {made_by(plan): json.dumps(dict(plan.models), sort_keys=True) for plan in plans}


def _of_keys(corpus: "Corpus", table: str, columns: list[str], keys: set[str]) -> list[dict[str, Any]]:
    rows, wanted = [], sorted(keys)
    for start in range(0, len(wanted), _KEYS_AT_A_TIME):
        listed = ", ".join(f"'{key}'" for key in wanted[start : start + _KEYS_AT_A_TIME])
        rows += corpus.read(table, columns, where=f"key IN ({listed})").to_pylist()
    return rows


def _order(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["day"], row["document_key"], row["node"]
