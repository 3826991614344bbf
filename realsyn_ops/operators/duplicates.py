"""What curating images and clustering sentences share: rows of all days, their groups as a table, and the alarms."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.run import Work, digest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.stages.dedup import Groups

MIN_ALARM_ROWS = 50
"""Below so many records a large component or a lost source is no alarm: small inputs are like that."""


@dataclass(frozen=True)
class CorpusRows:
    """One row a key over all days, sorted by key: the first day's row, `n_nodes` added up over the days."""

    table: "pa.Table"

    def __getitem__(self, column: str) -> list[Any]:
        return self.table[column].to_pylist()

    def matrix(self, column: str) -> "np.ndarray":
        """(n, d) float32 rows of a vector column, scaled to unit length again after float16."""
        return unit_matrix(self.table[column])


def unit_matrix(column: "pa.ChunkedArray") -> "np.ndarray":
    """(n, d) float32 unit rows of a column of fixed-size float16 lists."""
    import numpy as np

    width = column.type.list_size
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = values.reshape(-1, width).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def corpus_rows(staging: "Staging", stage: str, table: str, columns: list[str]) -> CorpusRows:
    """The day's staged embeddings and the published ones of all other days, one row a key."""
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus

    parts = [staging.read_all(stage, "embeddings").select(columns)]
    corpus = Corpus(staging.bucket)
    if corpus.exists(table):
        parts.append(corpus.read(table, columns, where=f"day != '{staging.partition}'"))
    rows = pa.concat_tables(parts).sort_by([("key", "ascending"), ("day", "ascending")]).combine_chunks()
    sums = rows.group_by("key").aggregate([("n_nodes", "sum")]).sort_by("key")
    keys = rows["key"].to_pylist()
    first = [i for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]
    rows = rows.take(pa.array(first, pa.int64()))
    n_nodes = sums["n_nodes_sum"].cast(pa.int32())
    return CorpusRows(rows.set_column(rows.column_names.index("n_nodes"), "n_nodes", n_nodes).sort_by("key"))


def converge(
    staging: "Staging",
    stage: str,
    rows: CorpusRows,
    groups: "Groups",
    schema: "pa.Schema",
    extra: "dict[str, pa.Array] | None" = None,
) -> Work:
    """Stage the groups as a shard named by what they were made of, and return the work that names it."""
    import pyarrow as pa

    keys = rows["key"]
    columns = {
        "key": keys,
        "day": rows["day"],
        "n_nodes": rows["n_nodes"],
        "reason": groups.reason,
        "survivor": [keys[i] for i in groups.survivor],
        "similarity": groups.similarity.astype("float64"),
        **(extra or {}),
    }
    table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    n_nodes = sum(columns["n_nodes"])
    rejected: dict[str, int] = {}
    for reason in groups.reason:
        if reason:
            rejected[reason] = rejected.get(reason, 0) + 1
    kept = len(keys) - sum(rejected.values())
    counts = {
        "records.in": n_nodes,
        "records.kept": kept,
        "records.rejected.identical": n_nodes - len(keys),
        **{f"records.rejected.{reason}": n for reason, n in sorted(rejected.items())},
    }
    shard = digest([keys, columns["day"], columns["n_nodes"], columns["survivor"]])
    largest = int(groups.component_size.max(initial=0))
    staging.put(f"{stage}-{shard}-components.json", json.dumps({"largest": largest, "n": len(keys)}).encode())
    staging.write(stage, shard, {"groups": table}, counts)
    return {"staging": staging.prefix, "shard": shard}


def is_within_threshold(groups: "pd.DataFrame", min_similarity: float) -> "pd.Series":
    """Whether each semantic duplicate is as near to its survivor as the plan says (perceptual ones match by hash)."""
    return (groups["reason"] != "semantic_duplicate") | (groups["similarity"] >= min_similarity - 1e-5)


def source_losses(staging: "Staging", groups: "pd.DataFrame", *, nodes: str, max_loss: float) -> "pd.DataFrame":
    """Per source of documents: how many of its records went as near-duplicates of another source's record."""
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    documents = corpus.read("documents", ["key", "source"]).to_pandas().rename(columns={"key": "document_key"})
    places = corpus.read(nodes, ["key", "document_key"]).to_pandas()
    places = places.merge(documents.drop_duplicates(), on="document_key")[["key", "source"]].drop_duplicates()
    sources = places.merge(groups[["key", "survivor"]], on="key")
    kept = set(map(tuple, places.to_numpy()))
    lost = [(s, r) not in kept for s, r in zip(sources["survivor"], sources["source"], strict=True)]
    sources["lost"] = lost
    losses = sources.groupby("source")["lost"].agg(["mean", "size"]).reset_index()
    losses["source_loss_is_allowed"] = (losses["mean"] <= max_loss) | (losses["size"] < MIN_ALARM_ROWS)
    return losses


def alarms(staging: "Staging", stage: str, work: Work, losses: "pd.DataFrame", *, max_share: float) -> "pd.DataFrame":
    """One row a source, with the largest component's share of all records beside it."""
    import pandas as pd

    components = json.loads(staging.get(f"{stage}-{work['shard']}-components.json"))
    share = components["largest"] / max(1, components["n"])
    frame = losses if len(losses) else pd.DataFrame({"source_loss_is_allowed": [True]})
    frame["largest_component_share"] = share
    frame["component_is_allowed"] = share <= max_share or components["n"] < MIN_ALARM_ROWS
    return frame


def near_survivors(staging: "Staging", vectors: Any) -> Any:
    """(n,) whether an image is a near-duplicate of another of these, by the plans that curated the corpus."""
    import numpy as np

    from realsyn_ops.io.recorded_plans import recorded_plans
    from realsyn_ops.stages.dedup import near_duplicates

    thresholds = [plan["min_visual_similarity"] for plan in recorded_plans(staging.bucket, "curate_images")]
    groups = near_duplicates(vectors, rank=np.arange(len(vectors)), min_similarity=max(thresholds, default=1.0))
    return np.array([reason is not None for reason in groups.reason], bool)
