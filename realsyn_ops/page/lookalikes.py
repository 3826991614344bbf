"""Images that look like one, by the vectors of the corpus: all of them are scored, a few thousand at a time."""

from typing import Any

import numpy as np

from realsyn_ops.page.deployment import corpus
from realsyn_ops.page.gallery_search import PAGE_PAIRS


def lookalikes(key: str) -> list[str]:
    """Keys of the nearest images, the image itself first; none when it has no vector."""
    tables = corpus()
    for table in tables.scan("image_embeddings", ["visual"], where=f"key = '{key}'", limit=1):
        if table.num_rows:
            return nearest(tables, "visual", _matrix(table["visual"])[0])
    return []


def nearest(tables: Any, column: str, vector: np.ndarray) -> list[str]:
    """Keys of the images whose unit rows in this column are nearest to a vector: by similarity, then key."""
    best: list[tuple[float, str]] = []
    for table in tables.scan("image_embeddings", ["key", column]):
        if not table.num_rows:
            continue
        scores = _matrix(table[column]) @ vector
        top = np.argsort(-scores, kind="stable")[: 2 * PAGE_PAIRS]
        best += [(-float(scores[i]), table["key"][int(i)].as_py()) for i in top]
        best = sorted(set(best))[: 2 * PAGE_PAIRS]
    return list(dict.fromkeys(key for _, key in best))[:PAGE_PAIRS]


def _matrix(column: Any) -> np.ndarray:
    values = column.combine_chunks()
    return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), -1).astype(np.float32)
