"""The links between near-duplicates of all days, the same way for images and sentences: what is new is compared.

A day's new records get their clusters (`assign`) and are linked with the records near them (`link`, a range of clusters
a task that holds no vectors but its own). Whether two records are linked depends on the two and on the codebook alone,
so days in any order end in the same links as all at once. Where codebook, limits or code are others than those the
published groups were made by, every record is new.
"""

import hashlib
from typing import TYPE_CHECKING

from realsyn_ops.operators.codebooks import npy, read_centroids
from realsyn_ops.operators.corpus_rows import RowsAt
from realsyn_ops.operators.linked import ARRANGE, ASSIGN, FIT, LINK, Kind, Rules
from realsyn_ops.operators.run import Work, digest
from realsyn_ops.plans import shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging

ASSIGN_ROWS = 100_000


def fit(staging: "Staging", kind: Kind, *, codebook: str, rows_per_cluster: int, seed: int, rules: Rules) -> list[Work]:
    """Centroids of the codebook in force, or of a new one where ``codebook`` is empty; and the shards to assign."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.codebook import read_codebook
    from realsyn_ops.records import hash_order
    from realsyn_ops.stages.cluster import fit_centroids, n_clusters, n_fitted

    rows = kind.rows(staging)
    keys = rows["key"]
    new = keys
    if codebook and rules.made(kind, staging):
        new = _new_keys(staging, kind, keys)
    if codebook:
        centroids = read_codebook(staging.bucket, codebook, kind.name).centroids
    else:
        k = n_clusters(len(rows), rows_per_cluster=rows_per_cluster)
        sample = sorted(range(len(keys)), key=lambda i: hash_order(keys[i], seed))[: n_fitted(k)]
        centroids = fit_centroids(RowsAt(rows, np.sort(np.asarray(sample, np.int64))), k=k, seed=seed)
    content = npy(centroids)
    name = digest([new, hashlib.sha256(content).hexdigest()])
    staging.put(f"centroids-{name}.npy", content)
    staging.write(FIT, name, {"new": pa.table({"key": pa.array(new, pa.string())})}, {"records": len(keys)})
    shards = shard_bounds(len(new), min(ASSIGN_ROWS, _rows_at_once(4 * rows.dim))) or [(0, 0)]
    return [{"staging": staging.prefix, "shard": f"{start}-{stop}-{name}", "fit": name} for start, stop in shards]


def assign(staging: "Staging", kind: Kind, work: Work, *, min_similarity: float) -> None:
    """A shard's new records with their cluster, and the further clusters in which their near-duplicates may lie."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.stages.dedup import near_cells

    start, stop = map(int, work["shard"].split("-")[:2])
    keys = staging.read_shard(FIT, work["fit"], "new")["key"].to_pylist()[start:stop]
    rows = kind.rows(staging)
    vectors = rows.vectors(rows.positions(keys))
    centroids = read_centroids(staging, work)
    limits, near = near_cells(vectors, centroids, min_similarity=min_similarity)
    first = near[limits[:-1]]
    table = pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "cluster": pa.array(first, pa.int32()),
            "centroid_similarity": pa.array(np.einsum("ij,ij->i", vectors, centroids[first]), pa.float32()),
            "near": pa.ListArray.from_arrays(pa.array(limits, pa.int32()), pa.array(near, pa.int32())),
        }
    )
    staging.write(ASSIGN, work["shard"], {"assigned": table}, {"records": len(keys)})


def arrange(staging: "Staging", kind: Kind, works: list[Work]) -> list[Work]:
    """All records with their clusters, new ones marked; and the ranges of clusters to link, each within the budget."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.io.corpus import Corpus

    rows = kind.rows(staging)
    assigned = pa.concat_tables(staging.read_shard(ASSIGN, work["shard"], "assigned") for work in works)
    new = pc.is_in(rows.table["key"], assigned["key"].combine_chunks())
    known = rows.table["key"].filter(pc.invert(new))
    if len(known):
        published = Corpus(staging.bucket).read(kind.groups, assigned.column_names)
        assigned = pa.concat_tables([assigned, _of_keys(published, known).cast(assigned.schema)])
    assigned = assigned.sort_by("key").append_column("is_new", new)
    name = digest([work["shard"] for work in works])
    ranges = _ranges(assigned, n_clusters=len(read_centroids(staging, works[0])))
    staging.write(ARRANGE, name, {"arranged": assigned}, {"records": len(rows), "new": int(np.sum(new.to_numpy()))})
    common = {"staging": staging.prefix, "fit": works[0]["fit"], "arranged": name}
    return [{**common, "shard": f"{low}-{high}-{name}"} for low, high in ranges]


def link(staging: "Staging", kind: Kind, work: Work, *, min_similarity: float) -> None:
    """The links of new records in a range of clusters, each verified by its own cosine. Few vectors are read for it."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.stages.dedup import cosine_links, head_basis, rows_near, vector_heads

    low, high = map(int, work["shard"].split("-")[:2])
    arranged = staging.read_shard(ARRANGE, work["arranged"], "arranged")
    cells, counts = _near(arranged)
    mine = rows_near(np.r_[0, np.cumsum(counts)], cells, (low, high))
    rows = kind.rows(staging)
    near = arranged["near"].take(pa.array(mine)).combine_chunks()
    centroids = read_centroids(staging, work)
    basis = head_basis(centroids)

    def make(vectors: np.ndarray) -> dict[str, np.ndarray]:
        return {"heads": vector_heads(vectors, basis).astype(np.float16)}

    folder = f"heads/{kind.name}-{hashlib.blake2b(npy(centroids), digest_size=8).hexdigest()}"
    links = cosine_links(
        RowsAt(rows, mine),
        near.offsets.to_numpy(),
        near.flatten().to_numpy(),
        arranged["is_new"].to_numpy()[mine],
        min_similarity=min_similarity,
        cell_range=(low, high),
        identities=rows.numpy("vector_hash")[mine],
        heads=rows.made(mine, folder, make)["heads"],
    )
    table = pa.table(
        {
            "first": pa.array(mine[links.first], pa.int64()),
            "second": pa.array(mine[links.second], pa.int64()),
            "similarity": pa.array(links.similarity, pa.float64()),
        }
    )
    staging.write(LINK, work["shard"], {"links": table}, {"records": len(mine), "links": table.num_rows})


def _new_keys(staging: "Staging", kind: Kind, keys: list[str]) -> list[str]:
    """Records to link: those in no published group, and those of groups that have lost a record: one that is gone, or
    was taken down, which leaves the others without a survivor's name.

    A link stands for all records of equal value under the name of one of them; where that one goes, the others, which
    are in its group, need links of their own.
    """
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    if not corpus.exists(kind.groups):
        return keys
    published = corpus.read(kind.groups, ["key", "survivor"])
    survivors = dict(zip(published["key"].to_pylist(), published["survivor"].to_pylist(), strict=True))
    gone = survivors.keys() - set(keys)
    touched = gone | {survivors[key] for key in gone} | {""}
    return [key for key in keys if key not in survivors or key in touched or survivors[key] in touched]


def _ranges(arranged: "pa.Table", *, n_clusters: int) -> list[tuple[int, int]]:
    """Ranges of clusters the heads of whose rows, held twice as float16, fit the budget; one may exceed it alone.

    Those without new records are out.
    """
    import numpy as np

    from realsyn_ops.heads import HEAD

    near, counts = _near(arranged)
    is_new = np.repeat(arranged["is_new"].to_numpy(), counts)
    has_new = np.bincount(near[is_new], minlength=n_clusters) > 0
    max_rows = max(1, settings().memory_bytes // (4 * (HEAD + 1)))
    ranges, low, held = [], 0, 0
    if arranged.num_rows > max_rows:
        for cluster, size in enumerate(np.bincount(near, minlength=n_clusters).tolist()):
            if cluster > low and held + size > max_rows:
                ranges.append((low, cluster))
                low, held = cluster, 0
            held += size
    ranges.append((low, n_clusters))
    return [r for r in ranges if has_new[r[0] : r[1]].any()] or [(0, 0)]


def _rows_at_once(row_bytes: int) -> int:
    """Vectors are held twice while they are read and scaled, hence a third of the memory budget."""
    return max(1, settings().memory_bytes // 3 // row_bytes)


def _of_keys(table: "pa.Table", keys: "pa.ChunkedArray") -> "pa.Table":
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["key"], keys.combine_chunks()))


def _near(arranged: "pa.Table") -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    lists = arranged["near"].combine_chunks()
    return lists.flatten().to_numpy(), np.diff(lists.offsets.to_numpy())
