"""How a sight sees the sentences of a day, their clusters and heads: made once a day and sight, and kept.

They lie in ``corpus/sightings/<sight>/<day>-<rows>``, where ``rows`` stands for the day's vectors as they lie in their
table: a day that is published again is seen again, and what was kept of it is deleted.
"""

import hashlib
import io
import logging
from functools import cached_property
from typing import TYPE_CHECKING

from realsyn_ops.operators.corpus_rows import unit_matrix

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.operators.corpus_rows import KeptRows
    from realsyn_ops.stages.retrieve import Sight

log = logging.getLogger(__name__)
_PREFIX = "corpus/sightings"
_BLOCK = 65_536


class Sightings:
    """Of the sentences of a run. ``name`` stands for the sight's bytes."""

    def __init__(self, sight: "Sight", name: str, sentences: "KeptRows") -> None:
        self._sight, self._name, self._sentences = sight, name, sentences

    def of(self, positions: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
        """Clusters (n,) and heads (n, e + 1) float16 of the sentences at these positions."""
        import numpy as np

        places = self._sentences.places[positions]
        clusters = np.empty(len(places), np.int32)
        heads = np.empty((len(places), self._sight.basis.shape[1] + 1), np.float16)
        day_of = self._days[0][places]
        for number in np.unique(day_of).tolist():
            rows = np.flatnonzero(self._days[0] == number)
            mine = day_of == number
            of_day = self._of_day(self._days[1][number], rows)
            there = np.searchsorted(rows, places[mine])
            clusters[mine], heads[mine] = of_day[0][there], of_day[1][there]
        return clusters, heads

    @cached_property
    def _days(self) -> "tuple[np.ndarray, list[str]]":
        """Of each place of the table the number of its day (-1: no row), and the days."""
        import numpy as np

        table, places = self._placed
        names, numbers = np.unique(table["day"].to_numpy(), return_inverse=True)
        found = np.full(int(places.max(initial=-1)) + 1, -1)
        found[places] = numbers
        return found, names.tolist()

    def _of_day(self, day: str, rows: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
        import numpy as np

        corpus, prefix = self._sentences.corpus, f"{_PREFIX}/{self._name}/{day}-"
        key = f"{prefix}{self._digest(rows)}"
        if (kept := corpus.bucket.find(key)) is not None:
            with np.load(io.BytesIO(kept)) as arrays:
                return arrays["clusters"], arrays["heads"]
        clusters, heads = self._made(rows)
        content = io.BytesIO()
        np.savez(content, clusters=clusters, heads=heads)
        for outdated in [item.key for item in corpus.bucket.list(prefix)]:
            corpus.bucket.delete(outdated)
        corpus.bucket.put(key, content.getvalue())
        log.info("%s: %d sentences seen", day, len(rows))
        return clusters, heads

    def _made(self, rows: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
        import numpy as np

        from realsyn_ops.heads import vector_heads
        from realsyn_ops.stages.retrieve import assign

        of = self._sentences
        clusters, heads = [], []
        for start in range(0, len(rows), _BLOCK):
            found = of.corpus.take(of.name, rows[start : start + _BLOCK], ["embedding"], version=of.version)
            vectors = unit_matrix(found["embedding"])
            clusters.append(assign(self._sight, vectors).astype(np.int32))
            heads.append(vector_heads(vectors, self._sight.basis).astype(np.float16))
        return np.concatenate(clusters), np.concatenate(heads)

    def _digest(self, rows: "np.ndarray") -> str:
        import numpy as np

        table, places = self._placed
        hashes = table["vector_hash"].fill_null(0).to_numpy()[np.searchsorted(places, rows)]
        return hashlib.blake2b(hashes.tobytes(), digest_size=8).hexdigest()

    @cached_property
    def _placed(self) -> "tuple[pa.Table, np.ndarray]":
        of = self._sentences
        return of.corpus.read_placed(of.name, ["day", "vector_hash"], version=of.version)
