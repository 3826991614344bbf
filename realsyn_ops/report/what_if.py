"""What a change of limits would do to a day, told from its stored values before anything runs.

Exact for rules whose values are stored for every record that reached them. Behind a rule that refused it a record was
not measured: that it might pass is all that can be said. Near-duplicates are compared anew by the run itself.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.plans import ClusterPlan, CuratePlan, Plan
from realsyn_ops.records import Reason
from realsyn_ops.stages.filter import entropy_reason, image_reason, language_reason, parse_reason, perplexity_reason
from realsyn_ops.thresholds import CLUSTER, CURATE

Row = Mapping[str, Any]
_PERSONAL = {Reason.EMAIL, Reason.PHONE, Reason.IP_ADDRESS}
_SENTENCE_VALUES = [
    "reason", "n_nodes", "n_words", "language_score", "site_share", "n_relations", "n_actions", "entropy", "perplexity",
]  # fmt: skip
_BY_COMPARISON = {
    CURATE: ("max_hash_distance", "min_visual_similarity"),
    CLUSTER: ("min_similarity",),
}


@dataclass
class WhatIf:
    """Records of a day that would change sides, by reason.

    ``freed`` by the reason they had, ``refused`` by the one they get, ``unknown`` by the reason they had ("kept" for
    none): those meet a rule whose value was never measured. ``loosened`` are near-duplicates that are no longer near
    enough to their survivor, ``compared_anew`` the limits of near-duplicates that change.
    """

    n_kept: int = 0
    n_rejected: int = 0
    freed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    loosened: Counter[str] = field(default_factory=Counter)
    compared_anew: tuple[str, ...] = ()


def what_if(corpus: Corpus, dag: str, before: Plan, after: Plan) -> WhatIf:
    """The day's records of a Dag under another plan of the same day. Counts records, not their places."""
    found = WhatIf()
    names = _BY_COMPARISON.get(dag, ())
    found.compared_anew = tuple(name for name in names if getattr(before, name) != getattr(after, name))
    if isinstance(before, CuratePlan) and isinstance(after, CuratePlan):
        for row in _rows(corpus, "image_scores", ["reason", "width", "height"], before.day):
            _note(found, row["reason"], _image_verdict(row, after))
        if "min_visual_similarity" in found.compared_anew:
            _note_duplicates(found, corpus, "curated_images", before.day, after.min_visual_similarity)
    if isinstance(before, ClusterPlan) and isinstance(after, ClusterPlan):
        for row in _rows(corpus, "sentence_scores", _SENTENCE_VALUES, before.day):
            _note(found, row["reason"], _sentence_verdict(row, before, after))
        if "min_similarity" in found.compared_anew:
            _note_duplicates(found, corpus, "sentence_clusters", before.day, after.min_similarity)
    return found


class _Unmeasured:
    """A rule comes up whose value is not stored."""


_UNMEASURED = _Unmeasured()
Verdict = Reason | None | _Unmeasured


def _rows(corpus: Corpus, table: str, columns: list[str], day: str) -> Any:
    for part in corpus.scan(table, columns, day=day):
        yield from part.to_pylist()


def _note(found: WhatIf, was: str | None, becomes: Verdict) -> None:
    if was is None:
        found.n_kept += 1
    else:
        found.n_rejected += 1
    if isinstance(becomes, _Unmeasured):
        found.unknown[was or "kept"] += 1
    elif was is not None and becomes is None:
        found.freed[was] += 1
    elif was is None and becomes is not None:
        found.refused[str(becomes)] += 1


def _note_duplicates(found: WhatIf, corpus: Corpus, table: str, day: str, min_similarity: float) -> None:
    """Duplicates that are no longer near enough to their survivor: they stay if no other survivor is near them."""
    where = f"reason = '{Reason.SEMANTIC_DUPLICATE}' AND similarity < {min_similarity!r}"
    n = sum(part.num_rows for part in corpus.scan(table, ["key"], day=day, where=where))
    if n:
        found.loosened[str(Reason.SEMANTIC_DUPLICATE)] += n


def _image_verdict(row: Row, after: CuratePlan) -> Verdict:
    if row["reason"] not in {None, Reason.IMAGE_TOO_SMALL, Reason.IMAGE_ASPECT}:
        return Reason(row["reason"])
    broken = image_reason(row["width"], row["height"], min_side_px=after.min_side_px, max_aspect=after.max_aspect)
    return broken[0] if broken else None


def _sentence_verdict(row: Row, before: ClusterPlan, after: ClusterPlan) -> Verdict:
    """The rules in their order, from stored values; the first that is broken, or whose value is not there, decides."""
    was = row["reason"]
    if was in {Reason.EMOJI, Reason.URL}:
        return Reason(was)
    if row["n_words"] < after.min_words:
        return Reason.TOO_FEW_WORDS
    if row["n_words"] > after.max_words:
        return Reason.TOO_MANY_WORDS
    if was in _PERSONAL and after.drop_personal_data:
        return Reason(was)
    if was in {Reason.TOO_FEW_WORDS, Reason.TOO_MANY_WORDS} or (
        after.drop_personal_data and not before.drop_personal_data
    ):
        return _UNMEASURED
    if after.language:
        if row["language_score"] is None or after.language != before.language:
            return _UNMEASURED
        if broken := language_reason(row["language_score"], min_language_score=after.min_language_score):
            return broken[0]
    if after.max_site_share < 1 and row["n_nodes"] > 1:
        if before.max_site_share >= 1 or after.min_site_pages != before.min_site_pages:
            return _UNMEASURED
        if (row["site_share"] or 0) > after.max_site_share:
            return Reason.BOILERPLATE
    return _measured_verdict(row, after)


def _measured_verdict(row: Row, after: ClusterPlan) -> Verdict:
    """The rules behind a model: complexity, action, entropy, perplexity."""
    if row["n_relations"] is None:
        return _UNMEASURED
    if broken := parse_reason(
        row["n_relations"], row["n_actions"], min_relations=after.min_relations, min_actions=after.min_actions
    ):
        return broken[0]
    if row["entropy"] is None:
        return _UNMEASURED
    if broken := entropy_reason(row["entropy"], min_entropy=after.min_entropy):
        return broken[0]
    if row["perplexity"] is None:
        return _UNMEASURED
    broken = perplexity_reason(
        row["perplexity"], min_perplexity=after.min_perplexity, max_perplexity=after.max_perplexity
    )
    return broken[0] if broken else None
