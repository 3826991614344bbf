"""The grounding gate: what an answer says must come from its sources, in one sentence that is not theirs.

The paper trusts its teacher; we do not trust ours. Cheap rules come first; no rule needs a model, so that hundreds of
millions of texts can be judged where they are written.
"""

from realsyn_ops.kinds import Merge
from realsyn_ops.stages.synthesize.copying import copy_reason
from realsyn_ops.stages.synthesize.counts import count_reason
from realsyn_ops.stages.synthesize.denials import denial_reason
from realsyn_ops.stages.synthesize.exchanges import exchange_reason
from realsyn_ops.stages.synthesize.form import form_reason, repetition_reason
from realsyn_ops.stages.synthesize.reasons import GroundingReason
from realsyn_ops.stages.synthesize.sources import Read, Sources, content
from realsyn_ops.stages.synthesize.tokens import Kind, Token

MAX_SYNONYMS = 2


def grounding_reason(text: str, merge: Merge, *, max_words: int, max_synonyms: int = MAX_SYNONYMS) -> str | None:
    """The first broken rule of the grounding gate; None when the answer may be used.

    ``max_synonyms``: how many of its words may stand in no source if a synonym of theirs does.
    """
    text = text.strip()
    sources = Sources(merge)
    if (reason := form_reason(text, sources)) is not None:
        return reason
    if len(text.split()) > max_words:
        return GroundingReason.TOO_LONG
    read, unknown, n_synonyms = sources.find(text)
    return (
        repetition_reason(read, sources)
        or (_ungrounded_reason(unknown[0], read) if unknown else None)
        or copy_reason(read, sources)
        or (GroundingReason.UNGROUNDED_WORD if n_synonyms > max_synonyms else None)
        or count_reason(read, sources)
        or denial_reason(read, sources)
        or exchange_reason(read, sources)
        or _loss_reason(read, sources)
    )


def _ungrounded_reason(token: Token, read: Read) -> GroundingReason:
    if token.kind is Kind.NUMBER:
        return GroundingReason.UNGROUNDED_NUMBER
    is_name = token.is_capital and token is not read[0][0]
    return GroundingReason.UNGROUNDED_NAME if is_name else GroundingReason.UNGROUNDED_WORD


def _loss_reason(read: Read, sources: Sources) -> GroundingReason | None:
    """More than half of the realistic text's content stays."""
    realistic = set(content(sources.realistic))
    if realistic and 2 * len(realistic.intersection(content(read))) <= len(realistic):
        return GroundingReason.DROPS_TEXT
    return None
