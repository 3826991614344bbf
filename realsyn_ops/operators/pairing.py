"""The last steps of `pair_texts`: new and unchanged pairs together, checked and published."""

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk import task

from realsyn_ops.operators import assets, pair_rules
from realsyn_ops.operators.history import judge_day, mean
from realsyn_ops.operators.publishing import event_extra, one_table, publish_days, split_days
from realsyn_ops.operators.retrieval import COLLECT, SYNTHESIZE, opened, published_pairs
from realsyn_ops.operators.rewriting import fallback_rates
from realsyn_ops.operators.run import Work, digest, measured
from realsyn_ops.operators.search import paired_rows
from realsyn_ops.plans import PairPlan

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging

PAIRS = "pair"
MEASURE = "corpus/retrieval.json"
"""How well the exact search was met when the pairs in force were made, kept with the corpus: staging may be deleted."""


@task
def audit(shards: list[Work]) -> Work:
    """Put new and unchanged pairs together, close the manifest, and check them. Red: no pair is published.

    What models answered is taken into `answers` before: it is paid for, whatever the gate says.
    """
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.io.answers import take_in, take_in_arrived
    from realsyn_ops.io.corpus import Corpus

    works = list(shards)
    staging, chosen = opened(works[0])
    with measured(staging, "audit"):
        answers = pa.concat_tables(staging.read_shard(SYNTHESIZE, work["shard"], "answers") for work in works)
        take_in(staging.bucket, answers, message=json.dumps({"staging": staging.prefix}))
        take_in_arrived(staging.bucket)
        images, _ = paired_rows(staging)
        days = zip(images["key"], images["day"], strict=True)
        made = {
            row["key"]: row
            for work in works
            for row in staging.read_shard(SYNTHESIZE, work["shard"], "pairs").to_pylist()
        }
        published = published_pairs(Corpus(staging.bucket))
        rows = [made.get(key) or published[key] | {"day": day} for key, day in days]
        table = pa.Table.from_pylist(rows, schema=schemas.PAIRS)
        n_few = sum(row["reason"] is not None for row in rows)
        counts = {
            "images.in": len(rows),
            "images.kept": len(rows) - n_few,
            **({"images.rejected.too_few_texts": n_few} if n_few else {}),
        }
        work: Work = {"staging": staging.prefix, "shard": digest([works[0]["retrieved"], sorted(made)])}
        staging.write(PAIRS, work["shard"], {"pairs": table}, counts)
        parts = {COLLECT: [works[0]["retrieved"]], SYNTHESIZE: [w["shard"] for w in works], PAIRS: [work["shard"]]}
        staging.finish(parts, name=f"manifest-{work['shard']}")
        measure = json.loads(staging.get(f"retrieval-{works[0]['retrieved']}.json"))
        frames = {
            "pairs": _frame(staging, table),
            "retrieval": _recall_frame(measure, chosen),
            "synthesis": fallback_rates(made.values(), chosen),
        }
        judge_day(staging, chosen, frames, _figures(table, chosen.day))
    return works[0] | work


@task(outlets=[assets.PAIRS])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Replace the days of `pairs` that changed."""
    from realsyn_ops.io import schemas
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.quarantine import lift

    staging, chosen = opened(work)
    with measured(staging, "publish"):
        corpus = Corpus(staging.bucket)
        pairs = staging.read_shard(PAIRS, work["shard"], "pairs")
        days: dict[str, Any] = dict.fromkeys(corpus.days("pairs"), one_table(pairs.slice(0, 0)))
        pair_rules.forget(staging)
        changed = publish_days(
            staging,
            {"pairs": (schemas.PAIRS, days | split_days(pairs))},
            also=["answers"],
        )
        pair_rules.keep(staging, chosen, work["prepared"])
        staging.bucket.put(MEASURE, staging.get(f"retrieval-{work['retrieved']}.json"))
    lift(staging.bucket, staging.dag)
    outlet_events[assets.PAIRS].extra = event_extra(staging, changed, pairs.num_rows)


def _frame(staging: "Staging", pairs: "pa.Table") -> "pd.DataFrame":
    import pandas as pd

    kept_images, kept_texts = paired_rows(staging)
    images, texts = set(kept_images["key"]), set(kept_texts["key"])
    rows = pairs.to_pylist()
    whole = [row["reason"] is None for row in rows]
    return pd.DataFrame(
        {
            "key": [row["key"] for row in rows],
            "reason": [row["reason"] for row in rows],
            "syn_origin": [row["syn_origin"] for row in rows],
            "similarity": [row["syn_similarity"] for row in rows],
            "is_known_image": [row["key"] in images for row in rows],
            "are_known_texts": [set(row["text_keys"]) <= texts for row in rows],
            "are_distinct_texts": [len({*row["texts"]}) == len(row["texts"]) for row in rows],
            "are_in_order": [row["similarities"] == sorted(row["similarities"], reverse=True) for row in rows],
            "has_synthetic_text": [bool(row["syn_text"]) or not ok for row, ok in zip(rows, whole, strict=True)],
        }
    )


def _recall_frame(measure: dict[str, Any], chosen: PairPlan) -> "pd.DataFrame":
    """The recall is met unless even the upper end of its interval is below the target; a fixed number of probes is the
    user's own choice."""
    import pandas as pd

    is_met = chosen.n_probes > 0 or measure["recall_interval"][1] >= chosen.target_recall
    return pd.DataFrame({"recall": [measure["recall"]], "recall_is_met": [is_met]})


def _figures(pairs: "pa.Table", day: str) -> dict[str, Any]:
    """Of the images of the run's own day."""
    columns = ["day", "reason", "syn_text", "syn_origin", "syn_similarity"]
    rows = pairs.select(columns).to_pandas().query("day == @day")
    whole = rows[rows["reason"].isna()]
    shares = {"without texts": rows["reason"].notna(), "templates": whole["syn_origin"] == "template"}
    return {
        "counts": {"pairs": len(whole)},
        "shares": {name: float(found.mean()) for name, found in shares.items() if len(found)},
        "lengths": mean(whole["syn_text"].str.len().rename("letters")),
    }
