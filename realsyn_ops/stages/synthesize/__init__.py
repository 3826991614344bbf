"""From a rewriter's answers to synthetic texts: the grounding gate, and what stands in for a refused answer.

    reason = grounding_reason(answer, merge, max_words=60)      None: the answer may be used
    text = template_text(merge)                                 what stands in for it otherwise

An answer is *read* (`tokens`, `numbers`, `lemmas`) and its words are found in the *sources*; `form`, `copying`,
`counts`, `denials` and `exchanges` are the rules, `grounding` their order, `vocabulary` what they know of English.
"""

from dataclasses import dataclass
from typing import Literal

from realsyn_ops.kinds import Merge
from realsyn_ops.records import fold_space
from realsyn_ops.stages.synthesize.grounding import MAX_SYNONYMS, grounding_reason
from realsyn_ops.stages.synthesize.openings import (
    N_WORDS,
    boilerplate_openings,
    count_openings,
    opening,
    spread_openings,
)
from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.template import template_text

__all__ = [
    "MAX_SYNONYMS",
    "N_WORDS",
    "GroundingReason",
    "Synthesis",
    "boilerplate_openings",
    "count_openings",
    "grounding_reason",
    "opening",
    "spread_openings",
    "synthesize",
    "template_text",
]


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A synthetic text, who wrote it, and the rule the rewriter's answer broke ("" when it is the rewriter's)."""

    text: str
    origin: Literal["rewriter", "template"]
    reason: str


def synthesize(
    merges: list[Merge], answers: list[str], *, max_words: int, max_synonyms: int = MAX_SYNONYMS
) -> list[Synthesis]:
    """One synthetic text a merge, in order: the answer where it passes the gate, else the template."""
    texts = []
    for merge, answer in zip(merges, answers, strict=True):
        reason = grounding_reason(answer, merge, max_words=max_words, max_synonyms=max_synonyms)
        if reason is None:
            texts.append(Synthesis(fold_space(answer), "rewriter", ""))
        else:
            texts.append(Synthesis(template_text(merge), "template", reason))
    return texts
