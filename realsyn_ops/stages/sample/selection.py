"""What a release takes: a function of a pair by itself, that can be asked of any pairs in any order, and again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realsyn_ops.stages.sample.bounds import Bounds
from realsyn_ops.stages.sample.cuts import Cut, Scale, cluster_sizes, cut_clusters, solved_scales
from realsyn_ops.stages.sample.draws import Blocks, Rows, high_draws, key_words
from realsyn_ops.stages.sample.lowest import ROW_BYTES

TOO_LOW, TOO_HIGH = -1, -2


@dataclass(frozen=True)
class Selection:
    """Nested scales, smallest first, with their cuts."""

    bounds: Bounds
    scales: tuple[Scale, ...]
    cuts: tuple[Cut, ...]

    def places(self, rows: Rows) -> np.ndarray:
        """(n,) int8: the smallest scale that takes the pair; their number: none does; `TOO_LOW`, `TOO_HIGH`."""
        places = np.zeros(len(rows.similarities), np.int8)
        for cut in self.cuts:
            places += ~cut.takes(rows.high, rows.low, rows.clusters)
        places[rows.similarities > np.float32(self.bounds.upper)] = TOO_HIGH
        places[~(rows.similarities >= np.float32(self.bounds.lower))] = TOO_LOW
        return places


def select(
    blocks: Blocks, bounds: Bounds, sizes: np.ndarray, scales: Sequence[Scale], *, memory_bytes: int
) -> Selection:
    """Cut clusters of these sizes (`cluster_sizes`) for the scales; the rows that are sorted at once fit the budget."""
    rows_at_once = max(1, memory_bytes // ROW_BYTES)
    return Selection(
        bounds, tuple(scales), tuple(cut_clusters(blocks, bounds, sizes, scales, rows_at_once=rows_at_once))
    )


def draw(keys: Sequence[str], clusters: np.ndarray, *, size: int, seed: int, memory_bytes: int) -> np.ndarray:
    """(n,) whether each key is among the first ``size``, whose clusters (n,) give as evenly as they can; no bounds."""
    words = key_words(keys)
    rows = Rows(high_draws(words[:, 0], seed=seed), words[:, 1].copy(), clusters, np.zeros(len(keys), np.float32))
    bounds = Bounds(0, 0)
    sizes = cluster_sizes([rows[2:]], bounds, n_clusters=int(clusters.max(initial=0)) + 1)
    selection = select(lambda: [rows], bounds, sizes, solved_scales(sizes, [size]), memory_bytes=memory_bytes)
    return selection.places(rows) == 0
