"""Batches of one fixed shape, so that what a model says of an item does not depend on the items beside it.

Matrix products of one shape add up each row alike wherever it stands; products of two shapes may not.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch


def fixed_batches(n_rows: int, size: int) -> Iterator[slice]:
    """The rows of each batch, in order; only the last one may be short (`fill_rows` makes it whole)."""
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def fill_rows(array: np.ndarray, size: int) -> np.ndarray:
    """The array with its last row repeated until it has `size` rows."""
    return np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])


def length_batches(lengths: list[int], *, size: int, step: int) -> Iterator[tuple[int, list[int]]]:
    """(padded length, positions) of batches whose items all pad to the same multiple of `step`, shortest first."""
    buckets: dict[int, list[int]] = {}
    for position, length in enumerate(lengths):
        buckets.setdefault(-(-max(length, 1) // step) * step, []).append(position)
    for padded in sorted(buckets):
        for rows in fixed_batches(len(buckets[padded]), size):
            yield padded, buckets[padded][rows]


@torch.inference_mode()
def map_rows(items: np.ndarray, size: int, function: Callable[[torch.Tensor], torch.Tensor], device: str) -> np.ndarray:
    """`function` over the rows of `items` in batches of exactly `size`; float32 rows in order."""
    answers = []
    for rows in fixed_batches(len(items), size):
        batch = torch.from_numpy(fill_rows(items[rows], size)).to(device)
        answers.append(function(batch).float().cpu().numpy()[: rows.stop - rows.start])
    return np.concatenate(answers)


def unit_rows(array: np.ndarray) -> np.ndarray:
    """Rows scaled to length one, float32; a row of zeros stays zeros."""
    wide = array.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return (wide / np.where(norms > 0, norms, 1)).astype(np.float32)
