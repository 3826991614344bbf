"""Semantic balance sampling: bounds on image/synthetic-text similarity, then so many pairs of every image cluster.

The paper drops 15.0% by similarity, clusters the images and keeps at most `cap` of a cluster, drawn at random (Semantic
Balance Sampling). Here the wanted sizes are given and their caps solved for.

Everything follows from one order of all pairs: by rank in the own cluster, then by draw. A release of n pairs is the
first n of it. So sizes are exact, a smaller scale lies within a larger one, and a pair that comes or goes moves the
others of its cluster by one rank and nobody else but at the end. In arrays, block by block: what is held grows with the
number of clusters, not of pairs.
"""

from realsyn_ops.stages.sample.bounds import QUANTILES, Bounds, similarity_bounds, what_if
from realsyn_ops.stages.sample.cuts import Cut, Scale, cluster_sizes, fixed_scales, solve_cap, solved_scales
from realsyn_ops.stages.sample.draws import Blocks, Rows, high_draws, key_words, tag_draws, tag_hashes
from realsyn_ops.stages.sample.selection import TOO_HIGH, TOO_LOW, Selection, draw, select

__all__ = [
    "QUANTILES",
    "TOO_HIGH",
    "TOO_LOW",
    "Blocks",
    "Bounds",
    "Cut",
    "Rows",
    "Scale",
    "Selection",
    "cluster_sizes",
    "draw",
    "fixed_scales",
    "high_draws",
    "key_words",
    "select",
    "similarity_bounds",
    "solve_cap",
    "solved_scales",
    "tag_draws",
    "tag_hashes",
    "what_if",
]
