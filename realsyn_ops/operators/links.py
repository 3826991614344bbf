"""The links between near-duplicates of all days, the same way for images and sentences: what is new is compared.

A day's new records get their clusters (`assign`) and are linked with the records near them (`link`, a range of clusters
a task that holds no vectors but its own). Whether two records are linked depends on the two and on the codebook alone,
so days in any order end in the same links as all at once. Where codebook, limits or code are others than those the
published groups were made by, every record is new.
"""

import io
import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from realsyn_ops.errors import TransientError
from realsyn_ops.operators.corpus_rows import CorpusRows, corpus_rows
from realsyn_ops.operators.run import Work, digest
from realsyn_ops.plans import shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.plans import ClusterPlan, CuratePlan

log = logging.getLogger(__name__)

FIT, ASSIGN, ARRANGE, LINK, GROUP = "fit", "assign", "arrange", "link", "deduplicate"
ASSIGN_ROWS = 100_000


@dataclass(frozen=True)
class Kind:
    """Where a kind of record lies: the stage that embeds a day of it, its tables, and the columns that decide on it.

    The larger ``size`` survives; equal ``identity`` (a perceptual hash, a hash of the letters) is a perceptual link.
    """

    name: str
    stage: str
    embeddings: str
    groups: str
    links: str
    nodes: str
    vector: str
    size: str
    identity: str
    further: tuple[str, ...] = ()

    def rows(self, staging: "Staging") -> CorpusRows:
        """The records of all days."""
        return corpus_rows(
            staging,
            self.stage,
            self.embeddings,
            vector=self.vector,
            columns=[self.size, self.identity, *self.further, "vector_hash"],
        )


IMAGES = Kind(
    name="images", stage="embed", embeddings="image_embeddings", groups="curated_images", links="image_links",
    nodes="image_nodes", vector="visual", size="n_pixels", identity="phash",
)  # fmt: skip
SENTENCES = Kind(
    name="sentences", stage="score", embeddings="sentence_embeddings", groups="sentence_clusters",
    links="sentence_links", nodes="sentence_nodes", vector="embedding", size="text", identity="letters_hash",
    further=("bands",),
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """What links depend on besides the two records; kept beside the groups that were made by them."""

    codebook: str
    code: str
    min_similarity: float
    perceptual: float

    def made(self, kind: Kind, staging: "Staging") -> bool:
        """Whether the published groups were made by these rules."""
        return staging.bucket.find(_rules_key(kind)) == self._json()

    def keep(self, kind: Kind, staging: "Staging") -> None:
        """Say that the published groups are made by these rules from now on."""
        staging.bucket.put(_rules_key(kind), self._json())

    def forget_others(self, kind: Kind, staging: "Staging") -> None:
        """Before groups by other rules are replaced: a run that dies halfway leaves groups by no known rules."""
        if not self.made(kind, staging):
            staging.bucket.delete(_rules_key(kind))

    def _json(self) -> bytes:
        return json.dumps(self.__dict__, sort_keys=True).encode()


def fit(staging: "Staging", kind: Kind, *, codebook: str, rows_per_cluster: int, seed: int, rules: Rules) -> list[Work]:
    """Centroids of the codebook in force, or of a new one where ``codebook`` is empty; and the shards to assign."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.codebook import read_codebook
    from realsyn_ops.records import hash_order
    from realsyn_ops.stages.cluster import ROWS_PER_CENTROID, fit_centroids, n_clusters

    rows = kind.rows(staging)
    keys = rows["key"]
    new = keys
    if codebook and rules.made(kind, staging):
        new = _new_keys(staging, kind, keys)
    if codebook:
        centroids = read_codebook(staging.bucket, codebook, kind.name).centroids
    else:
        k = n_clusters(len(rows), rows_per_cluster=rows_per_cluster)
        sample = sorted(range(len(keys)), key=lambda i: hash_order(keys[i], seed))[: k * ROWS_PER_CENTROID]
        centroids = fit_centroids(rows.vectors(np.sort(np.asarray(sample, np.int64))), k=k, seed=seed)
    content = npy(centroids)
    name = digest([new, digest_bytes(content)])
    staging.put(f"centroids-{name}.npy", content)
    staging.write(FIT, name, {"new": pa.table({"key": pa.array(new, pa.string())})}, {"records": len(keys)})
    shards = shard_bounds(len(new), ASSIGN_ROWS) or [(0, 0)]
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
    ranges = _ranges(assigned, n_clusters=len(read_centroids(staging, works[0])), row_bytes=4 * rows.dim)
    staging.write(ARRANGE, name, {"arranged": assigned}, {"records": len(rows), "new": int(np.sum(new.to_numpy()))})
    common = {"staging": staging.prefix, "fit": works[0]["fit"], "arranged": name}
    return [{**common, "shard": f"{low}-{high}-{name}"} for low, high in ranges]


def link(staging: "Staging", kind: Kind, work: Work, *, min_similarity: float) -> None:
    """The links of new records in a range of clusters, each verified by its own cosine."""
    import pyarrow as pa

    from realsyn_ops.stages.dedup import cosine_links

    low, high = map(int, work["shard"].split("-")[:2])
    arranged = staging.read_shard(ARRANGE, work["arranged"], "arranged")
    mine = _rows_of_range(arranged, low, high)
    rows = kind.rows(staging)
    near = arranged["near"].take(pa.array(mine)).combine_chunks()
    links = cosine_links(
        rows.vectors(mine),
        near.offsets.to_numpy(),
        near.flatten().to_numpy(),
        arranged["is_new"].to_numpy()[mine],
        min_similarity=min_similarity,
        cell_range=(low, high),
        identities=rows.numpy("vector_hash")[mine],
    )
    table = pa.table(
        {
            "first": pa.array(mine[links.first], pa.int64()),
            "second": pa.array(mine[links.second], pa.int64()),
            "similarity": pa.array(links.similarity, pa.float64()),
        }
    )
    staging.write(LINK, work["shard"], {"links": table}, {"records": len(mine), "links": table.num_rows})


def published_codebook(bucket: "Bucket", kind: Kind) -> str:
    """The codebook by which the published groups were made. Raises TransientError while they are being replaced."""
    found = bucket.find(_rules_key(kind))
    if found is None:
        raise TransientError(f"{kind.groups} is being made by another codebook, or such a run failed: see its Dag")
    return str(json.loads(found)["codebook"])


def publish_centroids(staging: "Staging", kind: Kind, work: Work, chosen: "CuratePlan | ClusterPlan") -> str:
    """Put the run's centroids in force where they are new; returns the version of the codebook in force."""
    from realsyn_ops.io.codebook import Codebook, publish_codebook, read_codebook
    from realsyn_ops.stages.drift import fit_statistics

    replaces = chosen.codebook
    if replaces and not chosen.refit:
        return replaces
    words = json.loads(staging.get("words.json")) if kind is SENTENCES else {}
    if replaces:
        words = read_codebook(staging.bucket, replaces, kind.name).words
    centroids = read_centroids(staging, work)
    fitted = fit_statistics(*_clusters(staging, work), k=len(centroids), seed=chosen.seed)
    return publish_codebook(
        staging.bucket,
        Codebook(words, centroids),
        kind.name,
        replaces=replaces,
        statistics=asdict(fitted),
        when=staging.partition,
        why="refit" if replaces else "first day",
    )


def drift(staging: "Staging", kind: Kind, work: Work, codebook: str, words: dict[str, int]) -> dict[str, Any]:
    """How far the day's records have drifted from those that the codebook in force was fitted on, and whether that
    asks for a new one; kept as ``corpus/drift/KIND.json`` for whoever looks. Nothing when the fit left no statistics.
    """
    import numpy as np

    from realsyn_ops.io.codebook import read_codebook, read_statistics
    from realsyn_ops.stages.drift import DriftLimits, Fit, drift_reasons
    from realsyn_ops.stages.drift import drift as measure

    fitted = read_statistics(staging.bucket, codebook, kind.name)
    if fitted is None:
        return {}
    clusters, similarities = _clusters(staging, work, day=staging.partition)
    fit = Fit(**{**fitted, "sizes": tuple(fitted["sizes"])})
    known = read_codebook(staging.bucket, codebook, kind.name).words
    found = measure(fit, clusters, np.asarray(similarities), words=words, fitted_words=known)
    reasons = drift_reasons(found, DriftLimits())
    figures = {"day": staging.partition, "codebook": codebook, **asdict(found), "asks_for_refit": reasons}
    staging.bucket.put(f"corpus/drift/{kind.name}.json", json.dumps(figures, sort_keys=True).encode())
    if reasons:
        log.warning("the codebook of %s no longer fits: %s; run a day with New codebook", kind.name, "; ".join(reasons))
    return figures


def _clusters(staging: "Staging", work: Work, *, day: str | None = None) -> "tuple[np.ndarray, np.ndarray]":
    """Clusters and similarities to their centroids of the run's records: all, or those of a day."""
    import pyarrow.compute as pc

    groups = staging.read_shard(GROUP, work["shard"], "groups")
    groups = groups if day is None else groups.filter(pc.equal(groups["day"], day))
    return groups["cluster"].to_numpy(), groups["centroid_similarity"].to_numpy()


def read_centroids(staging: "Staging", work: Work) -> "np.ndarray":
    """(k, d) centroids that the run assigns to."""
    import numpy as np

    return np.load(io.BytesIO(staging.get(f"centroids-{work['fit']}.npy")), allow_pickle=False)


def npy(array: "np.ndarray") -> bytes:
    import numpy as np

    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array, np.float32))
    return content.getvalue()


def digest_bytes(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()[:16]


def _new_keys(staging: "Staging", kind: Kind, keys: list[str]) -> list[str]:
    """Records to link: those in no published group, and those of groups that have lost a record.

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
    touched = gone | {survivors[key] for key in gone}
    return [key for key in keys if key not in survivors or key in touched or survivors[key] in touched]


def _rules_key(kind: Kind) -> str:
    return f"corpus/plans/rules/{kind.groups}.json"


def _rows_of_range(arranged: "pa.Table", low: int, high: int) -> "np.ndarray":
    """Positions of the rows that linking this range of clusters needs."""
    import numpy as np

    near, counts = _near(arranged)
    in_range = (near >= low) & (near < high)
    return np.flatnonzero(np.bincount(np.repeat(np.arange(len(counts)), counts)[in_range], minlength=len(counts)))


def _ranges(arranged: "pa.Table", *, n_clusters: int, row_bytes: int) -> list[tuple[int, int]]:
    """Ranges of clusters whose rows fit the memory budget; one cluster may exceed it alone. Those without new are out.

    Vectors are held twice while they are read and scaled, hence a third of the budget.
    """
    import numpy as np

    near, counts = _near(arranged)
    sizes = np.bincount(near, minlength=n_clusters)
    is_new = np.repeat(arranged["is_new"].to_numpy(), counts)
    has_new = np.bincount(near[is_new], minlength=n_clusters) > 0
    max_rows = settings().memory_bytes // 3 // row_bytes
    ranges, low, held = [], 0, 0
    for cluster, size in enumerate(sizes.tolist()):
        if cluster > low and held + size > max_rows:
            ranges.append((low, cluster))
            low, held = cluster, 0
        held += size
    ranges.append((low, n_clusters))
    return [r for r in ranges if has_new[r[0] : r[1]].any()] or [(0, 0)]


def _of_keys(table: "pa.Table", keys: "pa.ChunkedArray") -> "pa.Table":
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["key"], keys.combine_chunks()))


def _near(arranged: "pa.Table") -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    lists = arranged["near"].combine_chunks()
    return lists.flatten().to_numpy(), np.diff(lists.offsets.to_numpy())
