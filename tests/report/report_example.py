"""A small report and gallery built in code: every part present, every number different enough to be found again."""

import base64
import io
from typing import Any

from PIL import Image

Json = dict[str, Any]


def jpeg_uri(colour: tuple[int, int, int] = (30, 120, 90), side: int = 24) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def step(name: str, n_in: int, n_kept: int, paper: tuple[int, int] | None = None, **rejects: int) -> Json:
    paper_in, paper_kept = paper or (None, None)
    share = 1 - paper_kept / paper_in if paper_in and paper_kept else None
    return {
        "step": name,
        "n_in": n_in,
        "n_kept": n_kept,
        "rejects": rejects,
        "paper_in": paper_in,
        "paper_kept": paper_kept,
        "paper_share": share,
    }


def stage(dag: str, name: str, day: str, seconds: float, peak_rss_bytes: int) -> Json:
    return {
        "dag": dag,
        "stage": name,
        "day": day,
        "tasks": 4,
        "seconds": seconds,
        "cpu_seconds": seconds / 2,
        "peak_rss_bytes": peak_rss_bytes,
    }


def day_cost(day: str, n_pairs: int) -> Json:
    return {"day": day, "n_pairs": n_pairs, "cpu_seconds": 61.5, "n_bytes": 8_000_000, "n_calls": 77, "n_tokens": 4321}


def gate(name: str, passed: bool, *failures: str) -> Json:
    return {
        "gate": name,
        "dag": "curate_images",
        "day": "2025-02-18",
        "passed": passed,
        "n_expectations": 9,
        "failures": list(failures),
        "docs_uri": f"s3://realsyn/staging/docs/{name}/index.html",
    }


def example_report() -> Json:
    first, second = "2025-02-18", "2025-02-19"
    return {
        "version": "2025-02-19-ab12cd34",
        "days": [first, second],
        "preset": "demo",
        "models": {"encoder": "lite0 with minilm", "rewriter": "smollm2"},
        "release": {
            "version": "2025-02-19-ab12cd34",
            "path": "/data/releases/2025-02-19-ab12cd34",
            "uri": "s3://realsyn/releases/2025-02-19-ab12cd34/",
            "n_pairs": 312,
        },
        "funnel": {
            "documents": [step("extract", 418, 412, empty_document=6)],
            "images": [
                step("extract", 1302, 1240, image_missing=62),
                step("quality", 1240, 1011, (336_000_000, 285_000_000), image_too_small=200, image_aspect=29),
                step("balance", 440, 312, (168_300_000, 15_200_000), cluster_cap=128),
            ],
            "sentences": [
                step("extract", 18_322, 18_322),
                step("quality", 18_322, 13_870, (2_130_000_000, 1_820_000_000), emoji=2, no_action=4_450),
            ],
        },
        "hosts": [
            {
                "host": "images.example",
                "n_urls": 900,
                "n_images": 720,
                "n_bytes": 81_000_000,
                "rejects": {"fetch_not_found": 150, "fetch_robots": 30},
            },
            {"host": "3 others", "n_urls": 12, "n_images": 12, "n_bytes": 900_000, "rejects": {}},
        ],
        "day_costs": [day_cost(first, 123), day_cost(second, 189)],
        "stages": [
            stage("curate_images", "embed", first, 50.0, 1_450_000_000),
            stage("pair_texts", "retrieve", first, 9.0, 640_000_000),
            stage("curate_images", "embed", second, 40.0, 1_200_000_000),
        ],
        "gates": [gate("images", True), gate("pairs", False, "unique key: 2 of 440")],
        "selection": {
            "lower": 0.1132,
            "upper": 0.4031,
            "cap": 22,
            "n_clusters": 4,
            "n_selected": 312,
            "n_candidates": 440,
            "cluster_sizes_before": [7, 61, 30, 22],
            "cluster_sizes_after": [7, 22, 22, 22],
            "scales": [{"size": 100, "cap": 9, "n_shards": 1}, {"size": 312, "cap": 22, "n_shards": 3}],
            "what_if": [{"quantiles": [0.05, 0.95], "lower": 0.105, "upper": 0.412, "n_within": 396}],
        },
        "synthesis": {
            "rewriter": 80,
            "template": 232,
            "fallbacks": {"ungrounded": 231, "too_long": 1},
            "models": [
                {
                    "model": "llama@8cde5ca",
                    "n_answers": 500,
                    "n_accepted": 80,
                    "n_prompt_tokens": 150_000,
                    "n_answer_tokens": 10_000,
                    "n_bytes": 800_000,
                    "seconds": 40.0,
                    "refused": {"ungrounded_name": 220},
                    "n_again": 220,
                    "n_accepted_again": 14,
                },
            ],
        },
        "retrieval": {"recall_at_3": 0.82},
        "codebook": {"version": "c0ffee", "n_clusters": 14, "largest_cluster": 900, "imbalance": 1.7},
    }


def example_gallery() -> Json:
    place = {"title": "Birds of the water", "url": "https://example.org/birds", "source": "dictionary"}
    texts = [
        {
            "text": f"Text number {rank} about a duck.",
            "similarity": 0.4 - rank / 10,
            "origin": place,
            "document_key": "d1",
        }
        for rank in (1, 2, 3)
    ]
    return {
        "pairs": [
            {
                "key": f"i{n:032x}",
                "image": jpeg_uri((10 * n, 90, 60)),
                "texts": texts,
                "caption": f"A photo of duck {n}.",
                "tags": ["drake", "lakeside"],
                "syn_text": f"Synthetic duck {n} on a lake.",
                "syn_origin": "rewriter" if n % 2 else "template",
                "syn_similarity": 0.31,
                "image_origin": place,
            }
            for n in range(8)
        ],
        "rejects": {
            "images": {"image_too_small": [{"image": jpeg_uri(), "value": 48.0, "detail": "48 x 60 px"}]},
            "sentences": {"no_action": [{"text": "A blue door.", "value": 0}]},
        },
    }


def map_texts(value: Any, change: Any) -> Any:
    """The same JSON with ``change`` applied to every string that is a value, images included."""
    if isinstance(value, dict):
        return {name: map_texts(member, change) for name, member in value.items()}
    if isinstance(value, list):
        return [map_texts(member, change) for member in value]
    return change(value) if isinstance(value, str) else value
