"""Hierarchical retrieval: the best sentences for each image, found among the clusters that it probes.

`calibrate` freezes how images see sentences (`Sight`), `search` finds candidates, `merge` joins parts, `choose` makes
texts of them, `recall_at` says what was lost.
"""

from realsyn_ops.stages.retrieve.calibration import calibrate
from realsyn_ops.stages.retrieve.candidates import Candidates, above, merge, search, touched
from realsyn_ops.stages.retrieve.choice import Texts, choose, own_documents
from realsyn_ops.stages.retrieve.exhaustive import score_all
from realsyn_ops.stages.retrieve.loss import recall_at, recall_interval
from realsyn_ops.stages.retrieve.probing import probing, probing_of
from realsyn_ops.stages.retrieve.rows import Rows
from realsyn_ops.stages.retrieve.sight import Sight, assign, listed, probes

__all__ = [
    "Candidates", "Rows", "Sight", "Texts", "above", "assign", "calibrate", "choose", "listed", "merge",
    "own_documents", "probes", "probing", "probing_of", "recall_at", "recall_interval", "score_all", "search",
    "touched",
]  # fmt: skip
