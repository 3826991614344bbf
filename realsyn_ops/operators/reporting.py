"""What a release reports: the funnel beside the paper's, what each stage cost, what the gates said, and examples.

Numbers come from the published tables and the run's own files, never from logs.
"""

import base64
import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.answer_costs import answer_costs
from realsyn_ops.operators.day_costs import day_costs
from realsyn_ops.operators.hosts import host_yields
from realsyn_ops.operators.pairing import MEASURE
from realsyn_ops.records import NOT_SHOWN, Reason, hash_order

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket

_M = 1_000_000
PAPER: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "documents": {"extract": (None, 118 * _M)},
    "images": {
        "extract": (None, 336 * _M),
        "quality": (336 * _M, 285 * _M),
        "redundancy": (285 * _M, 198 * _M),
        "similarity bounds": (198 * _M, 168_300_000),
        "balance": (168_300_000, 15_200_000),
    },
    "sentences": {
        "extract": (None, 2_130 * _M),
        "quality": (2_130 * _M, 1_820 * _M),
        "semantic": (1_820 * _M, 1_160 * _M),
        "redundancy": (1_160 * _M, 840 * _M),
    },
}
"""In and out of each step in the paper (its funnel figure; the balance step is the 15M release)."""

N_PAIRS = 24
N_EXAMPLES = 6
_SEMANTIC = {Reason.LOW_ENTROPY, Reason.LOW_PERPLEXITY, Reason.HIGH_PERPLEXITY}


def funnel(corpus: "Corpus", selection: "pa.Table | None" = None) -> dict[str, list[dict[str, Any]]]:
    """Every step for documents, images and sentences: in, kept, and rejected by reason (in = kept + rejected)."""
    read = _reader(corpus)
    rejects = read("rejects", ["reason", "node"])
    of_documents = Counter(r["reason"] for r in rejects if r["node"] < 0)
    of_images = Counter(r["reason"] for r in rejects if r["node"] >= 0)
    n_documents = len(read("documents", ["key"]))
    n_images = sum(r["n_nodes"] for r in read("images", ["n_nodes"]))
    n_sentences = sum(r["n_nodes"] for r in read("sentences", ["n_nodes"]))
    images = [
        _step("images", "extract", n_images, of_images),
        _scored_step("images", "quality", read("image_scores", ["n_nodes", "reason"]), n_images),
        _group_step("images", read("curated_images", ["n_nodes", "reason"])),
    ]
    scores = read("sentence_scores", ["n_nodes", "reason"])
    quality = [r | {"reason": None if r["reason"] in _SEMANTIC else r["reason"]} for r in scores]
    semantic = [r for r in scores if r["reason"] is None or r["reason"] in _SEMANTIC]
    sentences = [
        _step("sentences", "extract", n_sentences, {}),
        _scored_step("sentences", "quality", quality, n_sentences),
        _scored_step("sentences", "semantic", semantic, sum(r["n_nodes"] for r in semantic)),
        _group_step("sentences", read("sentence_clusters", ["n_nodes", "reason"])),
    ]
    pairs = Counter(r["reason"] for r in read("pairs", ["reason"]))
    images.append(_step("images", "pair", pairs.pop(None, 0), pairs))
    if selection is not None:
        reasons = Counter(selection["reason"].to_pylist())
        n_kept, n_capped = reasons.pop(None, 0), reasons.pop(Reason.CLUSTER_CAP, 0)
        images.append(_step("images", "similarity bounds", n_kept + n_capped, reasons))
        images.append(_step("images", "balance", n_kept, {Reason.CLUSTER_CAP: n_capped} if n_capped else {}))
    return {"documents": [_step("documents", "extract", n_documents, of_documents)], "images": images,
            "sentences": sentences}  # fmt: skip


def build_report(staging: "Staging", facts: dict[str, Any]) -> dict[str, Any]:
    """The report of a release: its facts, costs per task, verdicts of the gates, synthesis and retrieval figures."""
    from realsyn_ops.io.codebook import current_version
    from realsyn_ops.io.corpus import Corpus

    bucket = staging.bucket
    corpus = Corpus(bucket)
    pairs = _reader(corpus)("pairs", ["syn_origin", "syn_reason"])
    clusters = Counter(corpus.read("sentence_clusters", ["cluster"], where="reason IS NULL")["cluster"].to_pylist())
    sizes = list(clusters.values())
    retrieval = bucket.find(MEASURE)
    records = [json.loads(bucket.get(item.key)) for item in bucket.list("runs/")]
    return {
        **facts,
        "release": {
            "version": facts["version"],
            "path": None,
            "uri": bucket.uri(f"releases/{facts['version']}/"),
            "n_pairs": facts["selection"]["n_selected"],
        },
        "hosts": host_yields(corpus),
        "stages": _costs(records),
        "day_costs": day_costs(corpus, records),
        "gates": [json.loads(bucket.get(o.key)) for o in _verdicts(bucket)],
        "synthesis": {
            **Counter(p["syn_origin"] for p in pairs if p["syn_origin"]),
            "fallbacks": dict(Counter(p["syn_reason"] for p in pairs if p["syn_reason"])),
            "models": answer_costs(bucket),
        },
        "retrieval": json.loads(retrieval) if retrieval else {},
        "codebook": {
            "version": current_version(bucket),
            "n_clusters": len(sizes),
            "largest_cluster": max(sizes, default=0),
            "imbalance": round(len(sizes) * sum(s * s for s in sizes) / max(1, sum(sizes)) ** 2, 3),
        },
    }


def build_gallery(staging: "Staging", seed: int) -> dict[str, Any]:
    """Two dozen pairs of the release and examples of rejects, pictures as data URIs."""
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    read = _reader(corpus)
    selection = staging.read_shard("select", "all", "selection").to_pylist()
    chosen = {r["key"] for r in sorted(selection, key=lambda r: hash_order(r["key"], seed)) if r["reason"] is None}
    shown = sorted(chosen, key=lambda key: hash_order(key, seed))[:N_PAIRS]
    columns = ["key", "day", "text_keys", "texts", "similarities", "caption", "tags", "syn_text", "syn_origin",
               "syn_similarity"]  # fmt: skip
    pairs = {p["key"]: p for p in corpus.read("pairs", columns, where=_among(shown)).to_pylist()} if shown else {}
    texts = sorted({key for p in pairs.values() for key in p["text_keys"]})
    documents = {d["key"]: d for d in read("documents", ["key", "source", "title", "url", "file", "record"])}
    origins = _first_places(corpus, "sentence_nodes", texts, documents)
    image_origins = _first_places(corpus, "image_nodes", shown, documents)
    pictures = _thumbnails(corpus, [(p["key"], p["day"]) for p in pairs.values()])
    cards = [
        {
            **{name: pairs[key][name] for name in ("key", "caption", "tags", "syn_text", "syn_origin")},
            "syn_similarity": pairs[key]["syn_similarity"],
            "image": pictures.get(key),
            "image_origin": image_origins.get(key, {}).get("origin", {}),
            "texts": [
                {"text": text, "similarity": round(similarity, 4), **origins.get(text_key, {})}
                for text, similarity, text_key in zip(
                    pairs[key]["texts"], pairs[key]["similarities"], pairs[key]["text_keys"], strict=True
                )
            ],
        }
        for key in shown
    ]
    return {
        "pairs": cards,
        "rejects": {"images": _image_rejects(corpus, seed), "sentences": _text_rejects(corpus, seed)},
    }


def _reader(corpus: "Corpus") -> Any:
    def read(table: str, columns: list[str]) -> list[dict[str, Any]]:
        return corpus.read(table, columns).to_pylist() if corpus.exists(table) else []

    return read


def _step(thing: str, step: str, n_kept: int, rejects: "Counter[Any] | dict[Any, int]") -> dict[str, Any]:
    paper_in, paper_kept = PAPER[thing].get(step, (None, None))
    return {
        "step": step,
        "n_in": n_kept + sum(rejects.values()),
        "n_kept": n_kept,
        "rejects": {str(reason): n for reason, n in sorted(rejects.items())},
        "paper_in": paper_in,
        "paper_kept": paper_kept,
        "paper_share": round(1 - paper_kept / paper_in, 4) if paper_in and paper_kept else None,
    }


def _scored_step(thing: str, step: str, rows: list[dict[str, Any]], n_in: int) -> dict[str, Any]:
    rejects: Counter[str] = Counter()
    for row in rows:
        if row["reason"]:
            rejects[row["reason"]] += row["n_nodes"]
    return _step(thing, step, n_in - sum(rejects.values()), rejects)


def _group_step(thing: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Redundancy: places of the same record beyond its first are identical, members of a group go by their reason."""
    rejects = Counter(r["reason"] for r in rows if r["reason"])
    rejects[Reason.IDENTICAL] = sum(r["n_nodes"] - 1 for r in rows)
    return _step(thing, "redundancy", sum(r["reason"] is None for r in rows), +rejects)


def _costs(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per Dag, day and stage: tasks, wall and CPU seconds of the work, highest peak memory, each task's span."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for cost in records:
        groups[cost["dag"], cost["day"], cost["stage"]].append(cost)
    return [
        {
            "dag": dag,
            "day": day,
            "stage": stage,
            "tasks": len(costs),
            "seconds": round(sum(c["ended"] - c["started"] for c in costs), 2),
            "cpu_seconds": round(sum(c["cpu_seconds"] for c in costs), 2),
            "peak_rss_bytes": max(c["peak_rss_bytes"] for c in costs),
            "spans": sorted([round(c["started"], 2), round(c["ended"], 2)] for c in costs),
        }
        for (dag, day, stage), costs in sorted(groups.items(), key=lambda group: min(c["started"] for c in group[1]))
    ]


def _verdicts(bucket: "Bucket") -> list[Any]:
    """The newest verdict of each gate of each Dag and partition: keys sort by plan, so the file's own time decides."""
    return [item for item in bucket.list("gates/") if "/docs/" not in item.key and item.key.endswith(".json")]


def _among(keys: list[str]) -> str:
    listed = ", ".join(f"'{key}'" for key in keys)
    return f"key IN ({listed})" if keys else "key = ''"


def _first_places(
    corpus: "Corpus", table: str, keys: list[str], documents: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    nodes = corpus.read(table, ["key", "day", "document_key", "node"], where=_among(keys)).to_pylist()
    places: dict[str, dict[str, Any]] = {}
    for node in sorted(nodes, key=lambda n: (n["day"], n["document_key"], n["node"])):
        document = documents[node["document_key"]]
        origin = {name: document[name] for name in ("title", "url", "source", "file", "record")}
        place = {"origin": origin, "document_key": node["document_key"], "node": node["node"]}
        places.setdefault(node["key"], place)
    return places


def _thumbnails(corpus: "Corpus", images: list[tuple[str, str]]) -> dict[str, str]:
    from realsyn_ops.image_codec import decode_image
    from realsyn_ops.stages.export import reencode

    found = {}
    for day in sorted({day for _, day in images}):
        keys = [key for key, d in images if d == day]
        for row in corpus.read("images", ["key", "data"], day=day, where=_among(keys)).to_pylist():
            try:
                jpeg = reencode(decode_image(row["data"], max_side=512), side_px=160)
            except (OSError, ValueError):
                continue
            found[row["key"]] = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return found


def _image_rejects(corpus: "Corpus", seed: int) -> dict[str, list[dict[str, Any]]]:
    read = _reader(corpus)
    rows = [r for r in read("image_scores", ["key", "day", "reason", "value"]) if r["reason"]]
    rows += [
        {**r, "value": r["similarity"]}
        for r in read("curated_images", ["key", "day", "reason", "similarity", "survivor"])
        if r["reason"]
    ]
    chosen = _examples(rows, seed)
    shown_rows = [r for reason, group in chosen.items() if reason not in NOT_SHOWN for r in group]
    pictures = _thumbnails(corpus, [(r["key"], r["day"]) for r in shown_rows])
    shown = {
        reason: [
            {
                "image": pictures.get(r["key"]),
                "value": r["value"],
                "detail": f"survivor {r['survivor']}" if r.get("survivor") else r["key"],
            }
            for r in group
        ]
        for reason, group in chosen.items()
    }
    unread = [r for r in read("rejects", ["key", "reason", "detail", "record", "node"]) if r["node"] >= 0]
    for reason, group in _examples(unread, seed).items():
        shown[reason] = [{"image": None, "value": None, "detail": f"{r['record']}: {r['detail']}"} for r in group]
    return shown


def _text_rejects(corpus: "Corpus", seed: int) -> dict[str, list[dict[str, Any]]]:
    rows = [r for r in _reader(corpus)("sentence_scores", ["key", "day", "reason", "value"]) if r["reason"]]
    chosen = _examples(rows, seed)
    keys = sorted({r["key"] for reason, group in chosen.items() if reason not in NOT_SHOWN for r in group})
    texts = {r["key"]: r["text"] for r in corpus.read("sentences", ["key", "text"], where=_among(keys)).to_pylist()}
    shown = {
        reason: [{"text": texts.get(r["key"], "(not shown)"), "value": r["value"]} for r in group]
        for reason, group in chosen.items()
    }
    columns = ["key", "reason", "similarity", "text"]
    duplicates = [r for r in _reader(corpus)("sentence_clusters", columns) if r["reason"]]
    for reason, group in _examples(duplicates, seed).items():
        shown[reason] = [{"text": r["text"], "value": r["similarity"]} for r in group]
    return shown


def _examples(rows: list[dict[str, Any]], seed: int) -> dict[str, list[dict[str, Any]]]:
    """A few rows of each reason, drawn by hash of their keys."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: hash_order(r["key"], seed)):
        if len(groups[row["reason"]]) < N_EXAMPLES:
            groups[row["reason"]].append(row)
    return dict(sorted(groups.items()))
