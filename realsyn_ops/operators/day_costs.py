"""What each day cost for the pairs that came of it: by the records that tasks leave below ``runs/``."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realsyn_ops.io.corpus import Corpus

DAILY = ("ingest_documents", "curate_images", "cluster_sentences", "pair_texts")
"""The Dags whose runs belong to a day. A later day's run may have made the pairs of an earlier one anew: costs are
those of the day's own runs, pairs those in force."""


def day_costs(corpus: "Corpus", records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per day with pairs: accepted ones, CPU-seconds, bytes staged, calls and tokens of models behind an endpoint."""
    spent: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record["dag"] in DAILY:
            day = spent[record["day"]]
            day["cpu_seconds"] += record["cpu_seconds"]
            day["n_bytes"] += record.get("n_bytes", 0)
            for some in record.get("spent", ()):
                day["n_calls"] += some["n_answers"]
                day["n_tokens"] += some["n_prompt_tokens"] + some["n_answer_tokens"]
    pairs: Counter[str] = Counter()
    for table in corpus.scan("pairs", ["day"], where="reason IS NULL"):
        pairs.update(table["day"].to_pylist())
    names = ("cpu_seconds", "n_bytes", "n_calls", "n_tokens")
    return [
        {"day": day, "n_pairs": n, **{name: round(spent[day][name], 2) for name in names}}
        for day, n in sorted(pairs.items())
    ]
