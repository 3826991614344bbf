"""What is made of each vector by itself, once a day: how a sight sees sentences, the heads of records.

It lies in ``corpus/<folder>/<day>-<rows>``, where ``rows`` stands for the day's vectors as they lie in their table: for
a day that is published again it is made again, and what was kept of it is deleted.
"""

import hashlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus

    Arrays = dict[str, np.ndarray]
    Make = Callable[[np.ndarray], Arrays]

log = logging.getLogger(__name__)
_BLOCK = 65_536


@dataclass(frozen=True)
class Embeddings:
    """A column of vectors in one version of a table."""

    corpus: "Corpus"
    name: str
    column: str
    version: int

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.corpus.dim(self.name, self.column)

    def stored(self, places: "np.ndarray") -> "np.ndarray":
        """(n, d) float16 rows at these places of the table."""
        return stored_matrix(self.corpus.take(self.name, places, [self.column], version=self.version)[self.column])

    def unit(self, places: "np.ndarray") -> "np.ndarray":
        """(n, d) float32 unit rows at these places of the table."""
        from realsyn_ops.heads import unit_rows

        return unit_rows(self.stored(places))


class KeptArrays:
    """``make``: of (n, d) unit rows some named arrays (n, ...); ``folder`` stands for what makes them."""

    def __init__(self, folder: str, vectors: Embeddings, make: "Make") -> None:
        self._prefix, self._vectors, self._make = f"corpus/{folder}", vectors, make

    def of(self, places: "np.ndarray") -> "Arrays":
        """The arrays of the rows at these places of the table."""
        import numpy as np

        none = self._make(np.empty((0, self._vectors.dim), np.float32))
        found = {name: np.empty((len(places), *array.shape[1:]), array.dtype) for name, array in none.items()}
        day_of = self._days[0][places]
        for number in np.unique(day_of).tolist():
            rows = np.flatnonzero(self._days[0] == number)
            mine = day_of == number
            there = np.searchsorted(rows, places[mine])
            for name, array in self._of_day(self._days[1][number], rows).items():
                found[name][mine] = array[there]
        return found

    @cached_property
    def _days(self) -> "tuple[np.ndarray, list[str]]":
        """Of each place of the table the number of its day (-1: no row), and the days."""
        import numpy as np

        table, places = self._placed
        names, numbers = np.unique(table["day"].to_numpy(), return_inverse=True)
        found = np.full(int(places.max(initial=-1)) + 1, -1)
        found[places] = numbers
        return found, names.tolist()

    def _of_day(self, day: str, rows: "np.ndarray") -> "Arrays":
        import numpy as np

        bucket, prefix = self._vectors.corpus.bucket, f"{self._prefix}/{day}-"
        key = f"{prefix}{self._digest(rows)}"
        if (kept := bucket.find(key)) is not None:
            with np.load(io.BytesIO(kept)) as arrays:
                return dict(arrays)
        made = self._made(rows)
        content = io.BytesIO()
        np.savez(content, **made)  # type: ignore[arg-type]
        for outdated in [item.key for item in bucket.list(prefix) if item.key != key]:  # another task may have put it
            bucket.delete(outdated)
        bucket.put(key, content.getvalue())
        log.info("%s: made of %d vectors and kept in %s", day, len(rows), self._prefix)
        return made

    def _made(self, rows: "np.ndarray") -> "Arrays":
        import numpy as np

        parts = [self._make(self._vectors.unit(rows[start : start + _BLOCK])) for start in range(0, len(rows), _BLOCK)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _digest(self, rows: "np.ndarray") -> str:
        import numpy as np

        table, places = self._placed
        hashes = table["vector_hash"].fill_null(0).to_numpy()[np.searchsorted(places, rows)]
        return hashlib.blake2b(hashes.tobytes(), digest_size=8).hexdigest()

    @cached_property
    def _placed(self) -> "tuple[pa.Table, np.ndarray]":
        of = self._vectors
        return of.corpus.read_placed(of.name, ["day", "vector_hash"], version=of.version)


def unit_matrix(column: "pa.ChunkedArray") -> "np.ndarray":
    """(n, d) float32 unit rows of a column of fixed-size float16 lists: scaled to unit length again after float16."""
    from realsyn_ops.heads import unit_rows

    return unit_rows(stored_matrix(column))


def stored_matrix(column: "pa.ChunkedArray") -> "np.ndarray":
    """(n, d) rows of a column of fixed-size lists."""
    values: np.ndarray = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, column.type.list_size)
