"""A pair: its texts, each with its own provenance, and what the synthetic text was made with."""

from typing import Any

from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.recorded_plans import plan_record
from realsyn_ops.models.prompt import VERSION
from realsyn_ops.plans import code_digest
from realsyn_ops.report.places import quoted
from realsyn_ops.report.trace_records import trace_sentence
from realsyn_ops.report.trace_steps import rows_of
from realsyn_ops.thresholds import PAIR

Facts = dict[str, Any]
_COLUMNS = [
    "text_keys", "texts", "similarities", "caption", "tags", "syn_text", "syn_origin", "syn_reason", "syn_similarity",
    "made_by",
]  # fmt: skip
_REWRITER = "rewriter"


def pair_in_force(corpus: Corpus, key: str) -> Facts | None:
    """The image's pair as it is published now; None when there is none.

    The models are those of the plan by which `pair_texts` published last, which holds for all pairs. The prompt is told
    by the answer, or where the plan was made by the sources that tell it.
    """
    rows = rows_of(corpus, "pairs", key, _COLUMNS)
    if not rows:
        return None
    row = rows[0]
    record = plan_record(corpus.bucket, PAIR)
    plan = record["plan"] if record else {}
    models = dict(plan.get("models", ()))
    answers = _answers(corpus, row)
    told = [answer["prompt"] for answer in answers if answer.get("prompt")]
    ranked = list(zip(row["text_keys"], row["texts"], row["similarities"], strict=True))
    return {
        **{name: row[name] for name in ("day", "caption", "tags", "made_by")},
        "models": models,
        "texts": texts_of(corpus, ranked),
        "synthetic": {
            **{name: row[name] for name in ("syn_text", "syn_origin", "syn_reason", "syn_similarity")},
            "model": models.get(_REWRITER),
            "prompt": told[0] if told else VERSION if plan.get("code") == code_digest() else None,
            "answers": answers,
        },
    }


def texts_of(corpus: Corpus, ranked: list[tuple[str, str, float]]) -> list[Facts]:
    """Texts by (key, text, similarity), best first, with where each stands and what its filters said."""
    return [
        trace_sentence(corpus, key) | {"rank": rank, "similarity": similarity, "text": text}
        for rank, (key, text, similarity) in enumerate(ranked, 1)
    ]


def _answers(corpus: Corpus, row: Facts) -> list[Facts]:
    """The paid answers that say what the synthetic text says, word for word; a template's text is none."""
    if row["syn_origin"] != _REWRITER or not row["syn_text"]:
        return []
    columns = [name for name in schemas.ANSWERS.names if name != "answer"]
    where = f"btrim(answer, ' \t\r\n') = {quoted(row['syn_text'])}"
    return [one for table in corpus.scan("answers", columns, where=where) for one in table.to_pylist()]
