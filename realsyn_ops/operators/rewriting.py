"""Captions and synthetic texts out of what models answer, and what share of them the template had to write."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from realsyn_ops.kinds import Answerer, Captioner, Merge, Question, Rewriter
from realsyn_ops.operators.answering import Paid, ask_once
from realsyn_ops.presets import check_spec
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from realsyn_ops.io.answers import Batch
    from realsyn_ops.plans import PairPlan
    from realsyn_ops.stages.synthesize import Synthesis

BATCHED = "ray-llm:"
NOT_ASKED = "not_asked"
_UNPAID = {"refused": "endpoint_refused", "failed": "endpoint_failed", "unasked": NOT_ASKED}
"""Why the template stands in where there is no answer to judge."""


def open_rewriter(spec: str, *, api_key: str, **where: Any) -> Rewriter:
    """The rewriter of this name: behind an endpoint, in this process, or on a Ray cluster with vLLM."""
    from realsyn_ops.models.load import load_rewriter

    if not spec.startswith(BATCHED):
        return load_rewriter(spec, api_key=api_key, **where)
    from realsyn_ops.ray.batch_rewriter import BatchRewriter

    return BatchRewriter(check_spec("rewriter", spec).removeprefix(BATCHED), settings().ray_llm_address)


def write_texts(
    batch: "Batch", rewriter: Rewriter, merges: list[Merge], **limits: int
) -> "tuple[list[Synthesis], list[Paid]]":
    """A synthetic text for each merge. What the grounding gate refuses is asked for once more, with the reason; refused
    again, or without an answer, the template stands in. ``limits``: the gate's."""
    from realsyn_ops.stages.synthesize import synthesize

    first = ask_once(batch, rewriter, [Question(merge) for merge in merges])
    texts = [answer.text for answer in first.answers]
    made = synthesize(merges, texts, **limits)
    _note(first, made)
    again = [i for i, text in enumerate(made) if text.reason and first.answers[i].is_paid and rewriter.takes_reasons]
    second = ask_once(batch, rewriter, [Question(merges[i], texts[i], made[i].reason) for i in again], n_try=2)
    for i, answer in zip(again, second.answers, strict=True):
        texts[i] = answer.text if answer.is_paid else texts[i]
    made = synthesize(merges, texts, **limits)
    _note(second, [made[i] for i in again])
    reasons = [_UNPAID.get(answer.finish, text.reason) for answer, text in zip(first.answers, made, strict=True)]
    return [replace(text, reason=reason) for text, reason in zip(made, reasons, strict=True)], [first, second]


def write_captions(
    batch: "Batch", captioner: Captioner, images: "list[Image]", tags: list[list[str]]
) -> tuple[list[str], list[Paid]]:
    """A caption for each image; where an endpoint has none to give, what the tags say."""
    from realsyn_ops.models.template_captioner import caption_tags
    from realsyn_ops.records import fold_space

    if not isinstance(captioner, Answerer):
        return captioner.caption(images, tags), []
    paid = ask_once(batch, captioner, images)
    for row in paid.rows.values():
        row["reason"] = None
    paid.spent.n_accepted = paid.spent.n_answers
    texts = [fold_space(answer.text) for answer in paid.answers]
    return [text or caption_tags(of_image) for text, of_image in zip(texts, tags, strict=True)], [paid]


def fallback_rates(pairs: Iterable[dict[str, Any]], chosen: "PairPlan") -> "pd.DataFrame":
    """What shares of newly made synthetic texts the gate refused, the endpoint left without an answer, and begin alike.

    A share is within its limit unless even the lower end of its 95% interval is above it. Images that the rewriter was
    not asked about count for none. Of the rewriter's own texts the share is that of the opening most of them have, 20
    at least: fewer are no habit.
    """
    import pandas as pd

    from realsyn_ops.stages.synthesize import boilerplate_openings, count_openings

    whole = [row for row in pairs if row["reason"] is None]
    written = [row["syn_text"] for row in whole if row["syn_origin"] == "rewriter"]
    openings = count_openings(written)
    n_alike = max((openings[found] for found in boilerplate_openings(openings, len(written), max_share=0.0)), default=0)
    reasons = Counter(row["syn_reason"] for row in whole)
    n_asked = reasons.total() - reasons[NOT_ASKED]
    n_unanswered = sum(reasons[reason] for reason in ("endpoint_refused", "endpoint_failed"))
    n_refused = n_asked - n_unanswered - reasons[None]
    rows = [
        ("refused by the grounding gate", n_refused, n_asked - n_unanswered, chosen.max_fallback_share),
        ("without an answer", n_unanswered, n_asked, chosen.max_unanswered_share),
        ("beginning alike", n_alike, len(written), chosen.max_opening_share),
    ]
    return pd.DataFrame(
        {
            "what": [what for what, *_ in rows],
            "n_texts": [n_of for _, _, n_of, _ in rows],
            "share": [n / max(1, n_of) for _, n, n_of, _ in rows],
            "is_within_limit": [_lower_end(n, n_of) <= limit for _, n, n_of, limit in rows],
        }
    )


def _lower_end(n: int, n_of: int) -> float:
    """Of Wilson's 95% interval of a share."""
    if n_of == 0:
        return 0.0
    z, share = 1.96, n / n_of
    middle = share + z * z / (2 * n_of)
    spread = z * (share * (1 - share) / n_of + z * z / (4 * n_of * n_of)) ** 0.5
    return (middle - spread) / (1 + z * z / n_of)


def _note(paid: Paid, made: "list[Synthesis]") -> None:
    """Write the gate's verdict beside each new answer."""
    verdicts: dict[str, str | None] = {}
    for key, text in zip(paid.keys, made, strict=True):
        verdicts.setdefault(key, text.reason or None)
    for key, row in paid.rows.items():
        row["reason"] = verdicts[key]
    paid.spent.n_accepted = sum(row["reason"] is None for row in paid.rows.values())
