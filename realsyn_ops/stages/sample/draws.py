"""What lots the pairs draw: 128 bits that depend on key and seed alone, so that order and company never matter.

The high word is the key's high word through the finaliser of SplitMix64 (Steele, Lea, Flood, 2014), which permutes the
64-bit numbers; the low word is the key's own. Two keys never draw the same.
"""

from binascii import unhexlify
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from string import hexdigits
from typing import NamedTuple

import numpy as np

from realsyn_ops.errors import PermanentError

_KEY_LENGTH = 33
_WEYL = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


class Rows(NamedTuple):
    """Some pairs: the words of their draws (n,) uint64, image clusters (n,) int32, similarities (n,) float32."""

    high: np.ndarray
    low: np.ndarray
    clusters: np.ndarray
    similarities: np.ndarray


Blocks = Callable[[], Iterable[Rows]]
"""All pairs, some at a time, in any order; called once for each pass over them."""


def key_words(keys: Sequence[str]) -> np.ndarray:
    """(n, 2) uint64: the 128 bits of keys, which are a letter and 32 hexadecimal digits; PermanentError for others."""
    try:
        digits = "".join(key[1:] if len(key) == _KEY_LENGTH else "?" for key in keys)
        return np.frombuffer(unhexlify(digits), ">u8").astype(np.uint64).reshape(-1, 2)
    except ValueError as error:
        wrong = next(key for key in keys if len(key) != _KEY_LENGTH or set(key[1:]) - set(hexdigits))
        raise PermanentError(f"{wrong!r} is no key: a letter and 32 hexadecimal digits") from error


def high_draws(high_words: np.ndarray, *, seed: int) -> np.ndarray:
    """(n,) uint64 high words of the draws of keys with these high words; the low words are the keys'."""
    mixed = _mix(np.array([seed], np.uint64) * _WEYL + _WEYL)
    return _mix(high_words ^ mixed)


def tag_hashes(names: Sequence[str]) -> np.ndarray:
    """(n,) uint64 by which tags are drawn."""
    return np.array([int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) for name in names], np.uint64)


def tag_draws(high: np.ndarray, limits: np.ndarray, tags: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(n,) uint64 high words that balance the counts of tags as MetaCLIP does (Xu et al., 2023), solved for the size.

    high (n,): those of the keys' own draws; pair i has the tags ``tags[limits[i] : limits[i + 1]]``, hashes of 64 bits;
    counts: in how many pairs each of those stands. MetaCLIP keeps a pair if one of its tags draws it, a tag of m pairs
    with chance t/m: so if t is above the least m*u over its tags, u even in [0, 1) by pair and tag. In order of that
    number the first n pairs are its choice for the t that gives n. Pairs without tags, which it drops, come last.
    """
    lots = _mix(np.repeat(high, np.diff(limits)) ^ tags).astype(np.float64) * 2.0**-64
    least = np.full(len(high), np.inf)
    tagged = np.flatnonzero(np.diff(limits))
    if len(tagged):
        least[tagged] = np.minimum.reduceat(lots * counts, limits[tagged])
    return least.view(np.uint64)


def _mix(numbers: np.ndarray) -> np.ndarray:
    mixed = numbers.copy()
    for shift, factor in _FACTORS:
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
