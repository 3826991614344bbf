"""What a release is made with: the models of its pairs and the limits of its tables, by the recorded plans."""

import json
from typing import TYPE_CHECKING

from realsyn_ops.operators.retrieval import made_by
from realsyn_ops.plans import PairPlan
from realsyn_ops.thresholds import CLUSTER, CURATE, INGEST, PAIR, limits_of, limits_over_all_days

if TYPE_CHECKING:
    from realsyn_ops.io.storage import Bucket


def pair_models(bucket: "Bucket") -> dict[str, str]:
    """The models that made the pairs in force, by kind; several of a kind are named together."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.recorded_plans import recorded_plans

    digests = set(Corpus(bucket).read("pairs", ["made_by"])["made_by"].to_pylist())
    found: dict[str, set[str]] = {}
    for values in recorded_plans(bucket, PAIR):
        chosen = PairPlan.from_json(json.dumps(values))
        if made_by(chosen) in digests:
            for kind, name in chosen.models:
                found.setdefault(kind, set()).add(name)
    return {kind: " and ".join(sorted(names)) for kind, names in sorted(found.items())}


def image_policies(bucket: "Bucket") -> list[str]:
    """What the plans of the days that were curated name as policies, each combination once."""
    from realsyn_ops.io.recorded_plans import recorded_plans

    return sorted({plan.get("image_policies", "") for plan in recorded_plans(bucket, CURATE)})


def corpus_limits(bucket: "Bucket") -> dict[str, dict[str, str]]:
    """The limits by which the tables in force were made, by Dag; where days differ, all their values.

    A limit that holds for all days together is as the Dag's last run had it.
    """
    from realsyn_ops.io.recorded_plans import last_plan, recorded_plans

    found = {}
    for dag in (INGEST, CURATE, CLUSTER, PAIR):
        if (last := last_plan(bucket, dag)) is None:
            continue
        plans = recorded_plans(bucket, dag)
        spanning = limits_over_all_days(dag)
        found[dag] = {
            name: ", ".join(str(v) for v in sorted({p[name] for p in deciding if name in p}))
            for name in limits_of(dag)
            for deciding in ([last] if name in spanning else plans,)
        }
    return found
