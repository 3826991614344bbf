"""Where a reason is at home: the step that gives it, the Dag behind that step, and the limit of the plan it breaks.

The one place that knows which of a plan's values a reject was held against. A reason without a limit is a rule by
form: an emoji is an emoji.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from realsyn_ops.plans import ClusterPlan, CuratePlan, IngestPlan, PairPlan, Plan, ReleasePlan
from realsyn_ops.records import Reason

INGEST, CURATE, CLUSTER, PAIR, RELEASE = (
    "ingest_documents", "curate_images", "cluster_sentences", "pair_texts", "release_dataset"
)  # fmt: skip
PLANS: dict[str, type[Plan]] = {
    INGEST: IngestPlan, CURATE: CuratePlan, CLUSTER: ClusterPlan, PAIR: PairPlan, RELEASE: ReleasePlan,
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A step of the funnel: its stage, what it counts, which part of the stage it is, its reasons with their limits.

    ``spans_days``: the rows of all days are as the Dag's last run decided, not as their own day's.
    """

    stage: str
    of: str
    part: str
    dag: str
    limits: Mapping[Reason, str | None]
    spans_days: bool = False


STEPS = (
    Step(
        "fetch",
        "URLs",
        "",
        INGEST,
        dict.fromkeys(
            (
                Reason.FETCH_ADDRESS,
                Reason.FETCH_ROBOTS,
                Reason.FETCH_OPT_OUT,
                Reason.FETCH_NOT_FOUND,
                Reason.FETCH_FAILED,
                Reason.FETCH_REDIRECTS,
                Reason.FETCH_TRUNCATED,
            )
        )
        | {Reason.IMAGE_TOO_LARGE: "max_image_bytes"},
    ),
    Step(
        "extract",
        "documents",
        "",
        INGEST,
        {
            Reason.UNREADABLE_DOCUMENT: None,
            Reason.EMPTY_DOCUMENT: None,
            Reason.TOO_MANY_NODES: "max_nodes",
            Reason.DOCUMENT_TOO_LARGE: "max_document_bytes",
            Reason.IDENTICAL: None,
            Reason.TAKEN_DOWN: None,
        },
    ),
    Step(
        "extract",
        "images",
        "",
        INGEST,
        {
            Reason.IMAGE_MISSING: None,
            Reason.IMAGE_OUTSIDE_BUNDLE: None,
            Reason.IMAGE_REMOTE: None,
            Reason.IMAGE_TOO_LARGE: "max_image_bytes",
            Reason.IMAGE_FORMAT: None,
            Reason.IMAGE_TOO_MANY_PIXELS: "max_image_pixels",
            Reason.IMAGE_BROKEN: None,
            Reason.TAKEN_DOWN: None,
        },
    ),
    Step(
        "curate",
        "images",
        "quality",
        CURATE,
        {
            Reason.IMAGE_TOO_SMALL: "min_side_px",
            Reason.IMAGE_ASPECT: "max_aspect",
            Reason.IMAGE_BROKEN: None,
            Reason.IMAGE_POLICY: None,
        },
    ),
    Step(
        "curate",
        "images",
        "redundancy",
        CURATE,
        {
            Reason.IDENTICAL: None,
            Reason.PERCEPTUAL_DUPLICATE: "max_hash_distance",
            Reason.SEMANTIC_DUPLICATE: "min_visual_similarity",
        },
        spans_days=True,
    ),
    Step(
        "cluster",
        "sentences",
        "quality",
        CLUSTER,
        {
            Reason.EMOJI: None,
            Reason.URL: None,
            Reason.TOO_FEW_WORDS: "min_words",
            Reason.TOO_MANY_WORDS: "max_words",
            Reason.EMAIL: None,
            Reason.PHONE: None,
            Reason.IP_ADDRESS: None,
            Reason.LANGUAGE: "min_language_score",
            Reason.BOILERPLATE: "max_site_share",
            Reason.LOW_COMPLEXITY: "min_relations",
            Reason.NO_ACTION: "min_actions",
            Reason.LOW_ENTROPY: "min_entropy",
            Reason.LOW_PERPLEXITY: "min_perplexity",
            Reason.HIGH_PERPLEXITY: "max_perplexity",
        },
    ),
    Step(
        "cluster",
        "sentences",
        "redundancy",
        CLUSTER,
        {
            Reason.IDENTICAL: None,
            Reason.PERCEPTUAL_DUPLICATE: "min_jaccard",
            Reason.SEMANTIC_DUPLICATE: "min_similarity",
        },
        spans_days=True,
    ),
    Step("pair", "images", "", PAIR, {Reason.TOO_FEW_TEXTS: "n_texts"}, spans_days=True),
    Step(
        "release",
        "pairs",
        "",
        RELEASE,
        {
            Reason.SIMILARITY_TOO_LOW: "lower",
            Reason.SIMILARITY_TOO_HIGH: "upper",
            Reason.CLUSTER_CAP: "cap",
        },
    ),
)
"""In the order of the flow. The limits of `release` are the bounds that a release solved, in its manifest."""

_NOT_BY_VALUE = {
    CLUSTER: ("drop_personal_data", "language", "min_site_pages"),
    PAIR: ("target_recall", "n_probes", "max_text_similarity", "own_document", "max_uses", "max_synthetic_words"),
}
"""Limits of a plan that no reason is measured against, but that decide who is refused."""


def threshold_of(step: Step, reason: str, values: Mapping[str, Any] | None) -> tuple[str, Any] | None:
    """Name and value of the limit that a reject of this reason broke, by the recorded ``values`` of its plan.

    None for a rule without a limit, and where no plan is recorded (tables of an older version).
    """
    name = step.limits.get(Reason(reason)) if reason in set(Reason) else None
    return (name, values[name]) if name and values and name in values else None


def limits_over_all_days(dag: str) -> set[str]:
    """Those of a Dag's limits that its last run decided for the rows of all days."""
    named = {name for step in STEPS if step.dag == dag and step.spans_days for name in step.limits.values() if name}
    return set(limits_of(dag)) if dag == PAIR else named


def limits_of(dag: str) -> tuple[str, ...]:
    """The limits of a Dag's plan that refuse records, in the plan's order."""
    named = {name for step in STEPS if step.dag == dag for name in step.limits.values() if name}
    named |= set(_NOT_BY_VALUE.get(dag, ()))
    return tuple(field.name for field in fields(PLANS[dag]) if field.name in named)
