"""What models were asked and what that cost, by model: for the report."""

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realsyn_ops.io.storage import Bucket


def answer_costs(bucket: "Bucket") -> list[dict[str, Any]]:
    """Per model: what the runs paid for and what of it the grounding gate accepted; why first answers were refused and
    asked for again, and how many were accepted then, over all answers that are kept."""
    from realsyn_ops.io.answers import UNJUDGED
    from realsyn_ops.io.corpus import Corpus

    spent: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in bucket.list("runs/pair_texts/"):
        for some in json.loads(bucket.get(item.key)).get("spent", ()):
            spent[some.pop("model")].update(some)
    refused: defaultdict[str, Counter[str]] = defaultdict(Counter)
    again: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for table in Corpus(bucket).scan("answers", ["model", "n_try", "reason"], where="reason != '" + UNJUDGED + "'"):
        for row in table.to_pylist():
            if row["n_try"] == 1:
                refused[row["model"]][row["reason"]] += 1
    for table in Corpus(bucket).scan("answers", ["model", "reason"], where="n_try = 2"):
        for row in table.to_pylist():
            again[row["model"]]["accepted" if row["reason"] is None else "refused"] += 1
    return [
        {
            "model": model,
            **costs,
            "refused": dict(sorted(refused[model].items())),
            "n_again": again[model].total(),
            "n_accepted_again": again[model]["accepted"],
        }
        for model, costs in sorted(spent.items())
        if costs["n_answers"]
    ]
