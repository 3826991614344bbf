"""Openings that too many texts share: a rewriter's habit, which a data set would teach on.

Of a set of texts. Counts of parts add up, so a corpus is counted shard by shard.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from realsyn_ops.records import fold_space, hash_order

N_WORDS = 4


def opening(text: str, *, n_words: int = N_WORDS) -> str:
    """The first words in lower case; empty for a text that has no more than these."""
    words = fold_space(text).lower().split()
    return " ".join(words[:n_words]) if len(words) > n_words else ""


def count_openings(texts: Iterable[str], *, n_words: int = N_WORDS) -> Counter[str]:
    """Openings with their counts; the counts of two sets added are those of both together."""
    return Counter(filter(None, (opening(text, n_words=n_words) for text in texts)))


def boilerplate_openings(
    counts: Mapping[str, int], n_texts: int, *, max_share: float, min_texts: int = 20
) -> frozenset[str]:
    """Those that more than ``max_share`` of the texts begin with; a few that agree are no habit (``min_texts``)."""
    limit = max(max_share * n_texts, min_texts - 1)
    return frozenset(found for found, count in counts.items() if count > limit)


def spread_openings(
    keys: Sequence[str], texts: Sequence[str], *, max_share: float, seed: int, min_texts: int = 20
) -> list[bool]:
    """Which texts stay, so that no opening begins more than ``max_share`` of all: where one does, the lowest hashes of
    (key, seed) stay, and never fewer than ``min_texts``."""
    limit = max(int(max_share * len(texts)), min_texts)
    seen: Counter[str] = Counter()
    stays = [True] * len(texts)
    for i in sorted(range(len(texts)), key=lambda i: hash_order(keys[i], seed)):
        begins = opening(texts[i])
        seen[begins] += 1
        stays[i] = not begins or seen[begins] <= limit
    return stays
