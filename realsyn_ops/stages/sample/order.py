"""Order statistics of more numbers than fit: digit by digit, a pass over them for each digit of 16 bits."""

from collections.abc import Callable, Iterable

import numpy as np

_DIGIT = 16
Numbers = Callable[[], Iterable[np.ndarray]]


def order_statistics(numbers: Numbers, ranks: np.ndarray, *, n_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of these ranks (0: the least) among unsigned ones of so many bits, and the rank among its equals."""
    found, left = np.zeros(len(ranks), np.uint64), np.asarray(ranks, np.int64).copy()
    for shift in range(n_bits - _DIGIT, -1, -_DIGIT) if len(ranks) else ():
        begun, of = np.unique(found, return_inverse=True)
        counts = np.zeros((len(begun), 1 << _DIGIT), np.int64)
        for block in numbers():
            digits = (block >> shift).astype(np.uint64)
            before = digits >> np.uint64(_DIGIT)
            beginning = np.searchsorted(begun, before)
            mine = np.flatnonzero(begun.take(beginning, mode="clip") == before)
            digits = (digits[mine] & np.uint64((1 << _DIGIT) - 1)).view(np.int64)
            np.add.at(counts.reshape(-1), (beginning[mine] << _DIGIT) | digits, 1)
        for i, sums in enumerate(np.cumsum(counts, axis=1)[of]):
            digit = int(np.searchsorted(sums, left[i], side="right"))
            left[i] -= sums[digit - 1] if digit else 0
            found[i] = (found[i] << np.uint64(_DIGIT)) | np.uint64(digit)
    return found, left


def ordered_bits(values: np.ndarray) -> np.ndarray:
    """float32 as uint32 in the same order."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def from_ordered_bits(bits: np.ndarray) -> np.ndarray:
    """The float32 values of `ordered_bits`."""
    ordered = bits.astype(np.uint32)
    return np.where(ordered >> 31, ordered & np.uint32((1 << 31) - 1), ~ordered).view(np.float32)
