"""The records of all days that a convergence step looks at: light columns in memory, vectors only where asked for.

The day's rows are those that its run has staged, the other days' the published ones. A key that stands on several
days is one record, with the first day's row and the places of all days together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from realsyn_ops.errors import PermanentError
from realsyn_ops.operators.kept_arrays import Embeddings, KeptArrays, unit_matrix

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.operators.kept_arrays import Arrays, Make

_ROW, _STAGED = "row", "is_staged"
_BLOCK = 4_096


@dataclass(frozen=True)
class CorpusRows:
    """``table``: one row a key, sorted by key, with `key`, `day`, `n_nodes` and the light columns asked for."""

    staging: "Staging"
    stage: str
    name: str
    vector: str
    version: int
    table: "pa.Table"

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, column: str) -> list[Any]:
        return self.table[column].to_pylist()

    def numpy(self, column: str) -> "np.ndarray":
        return self.table[column].to_numpy()

    def matrix(self, column: str) -> "np.ndarray":
        """(n, d) values of a column of fixed-size lists."""
        lists = self.table[column].combine_chunks()
        return lists.flatten().to_numpy().reshape(len(self), -1)

    def positions(self, keys: list[str]) -> "np.ndarray":
        """Where these keys stand; raises KeyError for one that is not there."""
        import numpy as np

        return np.fromiter((self._places[key] for key in keys), np.int64, len(keys))

    def vectors(self, positions: "np.ndarray") -> "np.ndarray":
        """(n, d) float32 unit rows of the records at these positions."""
        import numpy as np
        import pyarrow as pa

        rows, is_staged = self._lie(positions)
        vectors = np.empty((len(positions), self.dim), np.float32)
        if is_staged.any():
            vectors[is_staged] = unit_matrix(self._staged.take(pa.array(rows[is_staged])))
        if not is_staged.all():
            vectors[~is_staged] = self._published.unit(rows[~is_staged])
        return vectors

    def made(self, positions: "np.ndarray", folder: str, make: "Make") -> "Arrays":
        """What ``make`` makes of the vectors of the records at these positions; published ones' is kept in a folder."""
        import numpy as np

        rows, is_staged = self._lie(positions)
        made = make(self.vectors(positions[is_staged]))
        if is_staged.all():
            return made
        kept = KeptArrays(folder, self._published, make).of(rows[~is_staged])
        order = np.argsort(np.r_[np.flatnonzero(is_staged), np.flatnonzero(~is_staged)])
        return {name: np.concatenate([made[name], kept[name]])[order] for name in made}

    def cosines(self, first: "np.ndarray", second: "np.ndarray") -> "np.ndarray":
        """(m,) float64 cosine of the records at two lists of positions, some thousand at a time."""
        import numpy as np

        parts = [np.empty(0)]
        for start in range(0, len(first), _BLOCK):
            one, other = (self.vectors(p[start : start + _BLOCK]).astype(np.float64) for p in (first, second))
            parts.append(np.einsum("ij,ij->i", one, other))
        return np.concatenate(parts)

    @cached_property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._staged.type.list_size)

    def _lie(self, positions: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
        """Where the rows of the records at these positions lie, and whether among the staged ones."""
        return self.numpy(_ROW)[positions], self.table[_STAGED].to_numpy(zero_copy_only=False)[positions]

    @cached_property
    def _published(self) -> Embeddings:
        from realsyn_ops.io.corpus import Corpus

        return Embeddings(Corpus(self.staging.bucket), self.name, self.vector, self.version)

    @cached_property
    def _staged(self) -> "pa.ChunkedArray":
        return self.staging.read_all(self.stage, "embeddings", columns=["key", self.vector])[self.vector]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {key: i for i, key in enumerate(self["key"])}


def corpus_rows(staging: "Staging", stage: str, name: str, *, vector: str, columns: list[str]) -> CorpusRows:
    """The day's staged embeddings and the published ones of all other days in table ``name``, one row a key."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.io.corpus import Corpus

    light = list(dict.fromkeys(["key", "day", "n_nodes", *columns]))
    staged = staging.read_all(stage, "embeddings", columns=light)
    parts = [_placed(staged, np.arange(staged.num_rows), is_staged=True)]
    corpus = Corpus(staging.bucket)
    if version := corpus.version(name):
        found, places = corpus.read_placed(name, light, version=version)
        is_other = pc.not_equal(found["day"], staging.partition)
        parts.append(_placed(found.filter(is_other), places[is_other.to_numpy()], is_staged=False))
    rows = pa.concat_tables(parts).sort_by([("key", "ascending"), ("day", "ascending")]).combine_chunks()
    if rows.num_rows:
        is_first = np.r_[True, pc.not_equal(rows["key"][1:], rows["key"][:-1]).to_numpy(zero_copy_only=False)]
        n_nodes = np.add.reduceat(rows["n_nodes"].to_numpy(), np.flatnonzero(is_first))
        rows = rows.filter(pa.array(is_first))
        rows = rows.set_column(rows.column_names.index("n_nodes"), "n_nodes", pa.array(n_nodes, pa.int32()))
    return CorpusRows(staging, stage, name, vector, version, rows)


@dataclass(frozen=True)
class KeptRows:
    """Published rows that are kept, sorted by key: some columns in memory, their vectors where asked for."""

    embeddings: Embeddings
    places: "np.ndarray"
    table: "pa.Table"

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, column: str) -> list[Any]:
        return self.table[column].to_pylist()

    def positions(self, keys: list[str]) -> "np.ndarray":
        """Where these keys stand; raises KeyError for one that is not there."""
        import numpy as np

        places = {key: i for i, key in enumerate(self["key"])}
        return np.fromiter((places[key] for key in keys), np.int64, len(keys))

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.embeddings.dim

    def vectors(self, positions: "np.ndarray") -> "np.ndarray":
        """(n, d) float32 unit rows of the records at these positions."""
        return self.embeddings.unit(self.places[positions])

    def stored(self, positions: "np.ndarray") -> "np.ndarray":
        """(n, d) float16 rows of the records at these positions, as they are kept."""
        return self.embeddings.stored(self.places[positions])


@dataclass(frozen=True)
class RowsAt:
    """Vectors of the records at some positions (n,), read where asked for."""

    rows: CorpusRows
    positions: "np.ndarray"

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: "np.ndarray | slice") -> "np.ndarray":
        return self.rows.vectors(self.positions[chosen])


@dataclass(frozen=True)
class StoredAt:
    """As `RowsAt`, in float16 as they are kept."""

    rows: KeptRows
    positions: "np.ndarray"

    def __getitem__(self, chosen: "np.ndarray") -> "np.ndarray":
        return self.rows.stored(self.positions[chosen])


def kept_rows(
    corpus: "Corpus",
    groups: str,
    embeddings: str,
    columns: list[str],
    versions: Mapping[str, int],
    *,
    vector: str = "embedding",
) -> KeptRows:
    """The rows of a table that no reason refuses, with the named columns, both tables as of their ``versions``."""
    import pyarrow.compute as pc

    kept = corpus.read(groups, ["key", "day", *columns], where="reason IS NULL", version=versions[groups])
    kept = kept.combine_chunks()
    version = versions[embeddings]
    placed, places = corpus.read_placed(embeddings, ["key", "day"], version=version)
    rows, wanted = (pc.binary_join_element_wise(t["day"], t["key"], " ").combine_chunks() for t in (placed, kept))
    found = pc.index_in(wanted, rows)
    if found.null_count:
        raise PermanentError(f"{groups} names {found.null_count} rows that {embeddings} has not: run their days again")
    return KeptRows(Embeddings(corpus, embeddings, vector, version), places[found.to_numpy()], kept)


def _placed(table: "pa.Table", rows: "np.ndarray", *, is_staged: bool) -> "pa.Table":
    import numpy as np
    import pyarrow as pa

    table = table.append_column(_ROW, pa.array(rows.astype(np.int64)))
    return table.append_column(_STAGED, pa.array(np.full(table.num_rows, is_staged)))
