"""What a release is worth to those who train on it: which texts an arm has, what is drawn when, and what to make of it.

An *arm* is a way to give images texts, with the images that have one. All arms are trained alike (`models`); the
numbers that come back are compared seed by seed, since arms of one seed begin with the same weights.
"""

from realsyn_ops.stages.measure.arms import ARMS, BASE, DOCUMENT_ARMS, nearest_sentences, release_texts
from realsyn_ops.stages.measure.draws import Draw, draw_batches
from realsyn_ops.stages.measure.intervals import Interval, chance, interval
from realsyn_ops.stages.measure.plot import draw_plot
from realsyn_ops.stages.measure.summary import METRICS, Scores, markdown, summarise

__all__ = [
    "ARMS",
    "BASE",
    "DOCUMENT_ARMS",
    "METRICS",
    "Draw",
    "Interval",
    "Scores",
    "chance",
    "draw_batches",
    "draw_plot",
    "interval",
    "markdown",
    "nearest_sentences",
    "release_texts",
    "summarise",
]
