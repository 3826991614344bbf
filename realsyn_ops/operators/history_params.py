"""The part of a day's form that is about the gate beside earlier days: the same for every Dag that makes a day."""

from typing import Any

from realsyn_ops.plans import HISTORY

HISTORY_FIELDS: dict[str, dict[str, Any]] = {
    "history": {
        "type": "string", "enum": list(HISTORY), "title": "Unlike the days before",
        "description": "What the gate does about a day that is not like the days before it: nothing, warn, or stop.",
    },
    "history_days": {
        "type": "integer", "minimum": 3, "maximum": 365, "title": "Days before",
        "description": "So many published days before it, at most; three are needed.",
    },
    "max_count_change": {
        "type": "number", "minimum": 1, "title": "Usual counts",
        "description": "Records are at most so many times those of the median day, and at least that part of them.",
    },
    "max_share_change": {
        "type": "number", "exclusiveMinimum": 0, "maximum": 1, "title": "Usual shares",
        "description": "Shares of rejects differ from the median day's by no more.",
    },
    "max_length_change": {
        "type": "number", "minimum": 1, "title": "Usual lengths",
        "description": "Mean lengths and sizes are at most so many times the median day's, and at least that part.",
    },
    "min_likeness": {
        "type": "number", "minimum": -1, "maximum": 1, "title": "Usual embeddings",
        "description": "Cosine, at least, of the day's mean embedding and that of the days before.",
    },
}  # fmt: skip
