"""Sentences of a table as a search reads them: those that it scores, or all of a part at once."""

from typing import Any

import numpy as np

from realsyn_ops.heads import unit_rows

_READ = 65_536


class Rows:
    """Sentences (n, d) of a source that gives rows at ascending positions, read where asked for, once each.

    They are held as the source gives them: float32 ones are unit rows, float16 ones are scaled to unit length in
    float32 where they are scored.
    """

    def __init__(self, source: Any, n: int) -> None:
        self._source, self._n_read = source, 0
        self._held = np.empty((0, 0), np.float16)
        self._places = np.full(n, -1, np.int32)
        self._asked = np.empty(n, np.int32)

    @property
    def is_read(self) -> bool:
        """Whether all are held."""
        return self._n_read == len(self._places)

    def read_all(self) -> None:
        """Hold all of them."""
        for start in range(0, len(self._places), _READ):
            self.read(np.arange(start, min(start + _READ, len(self._places))))

    def read(self, positions: np.ndarray) -> None:
        """Hold those at the positions (k,)."""
        if self.is_read or not len(missing := np.unique(positions[self._places[positions] < 0])):
            return
        found = self._source[missing]
        if not self._n_read:
            self._held = np.empty((len(self._places), found.shape[1]), found.dtype)
        there = np.arange(self._n_read, self._n_read + len(missing))
        self._held[there[0] : there[-1] + 1] = found
        self._places[missing] = there
        self._n_read += len(missing)

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit rows among which those at the positions (k,) are, and where (k,)."""
        self.read(positions)
        if self._held.dtype == np.float32:
            return self._held, self._places[positions].astype(np.int64)
        # Each position once: of equal ones the one whose turn was written last.
        turns = np.arange(len(positions), dtype=np.int32)
        self._asked[positions] = turns
        once = positions[self._asked[positions] == turns]
        self._asked[once] = turns[: len(once)]
        return unit_rows(self._held[self._places[once]]), self._asked[positions].astype(np.int64)
