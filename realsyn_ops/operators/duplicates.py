"""Near-duplicates over all days: groups out of links, as a table, and the alarms."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.linked import ARRANGE, GROUP, LINK, Kind, Rules
from realsyn_ops.operators.publishing import one_table, publish_days, split_days
from realsyn_ops.operators.run import Work, digest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.corpus import Rows
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.operators.corpus_rows import CorpusRows
    from realsyn_ops.stages.dedup import Kind as LinkKind
    from realsyn_ops.stages.dedup import Links

    Perceptual = Callable[[CorpusRows, np.ndarray], Links]

MIN_ALARM_ROWS = 50
"""Below so many records a large component or a lost source is no alarm: small inputs are like that."""


def regroup(
    staging: "Staging", kind: Kind, works: list[Work], schema: "pa.Schema", *, perceptual: "Perceptual"
) -> Work:
    """Groups of all records out of known and new links, staged as a shard named by what they were made of.

    ``perceptual`` links new records that look the same: pictures by their hashes, sentences by their letters. The best
    of a group survives: the largest image, the longest sentence, then the smallest key.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.io import schemas
    from realsyn_ops.stages.dedup import first_holders, group

    rows = kind.rows(staging)
    arranged = staging.read_shard(ARRANGE, works[0]["arranged"], "arranged")
    kinds = _kinds(staging, kind, works, rows, arranged["is_new"].to_numpy(), perceptual)
    size = rows.table[kind.size]
    size = (pc.utf8_length(size) if pa.types.is_string(size.type) else size).to_numpy()
    groups = group(kinds, rank=np.argsort(np.lexsort((np.arange(len(rows)), -size.astype(np.int64)))))
    similarity = groups.similarity
    unmeasured = np.flatnonzero(np.isnan(similarity))
    similarity[unmeasured] = rows.cosines(unmeasured, groups.survivor[unmeasured]).round(6)
    keys = rows.table["key"].combine_chunks()
    columns = {
        **{name: rows.table[name] for name in schema.names if name in rows.table.column_names},
        **{name: arranged[name] for name in ("cluster", "centroid_similarity", "near")},
        "reason": pa.array(groups.reason, pa.string()),
        "survivor": keys.take(pa.array(groups.survivor)),
        "similarity": pa.array(similarity),
    }
    table = pa.table({name: columns[name] for name in schema.names}).cast(schema)
    days = rows.table["day"].to_numpy(zero_copy_only=False)
    named = pa.concat_tables(
        pa.table(
            {
                "key": keys.take(pa.array(links.first)),
                "day": pa.array(np.maximum(days[links.first], days[links.second]), pa.string()),
                "other": keys.take(pa.array(links.second)),
                "similarity": links.similarity,
                "reason": pa.array([str(one.reason)] * len(links), pa.string()),
            },
            schema=schemas.IMAGE_LINKS,
        )
        for one in kinds
        for links in [one.links.at(first_holders(one.values))]
    ).sort_by([("key", "ascending"), ("other", "ascending"), ("reason", "ascending")])
    shard = _staged(staging, table, named, largest=int(groups.component_size.max(initial=0)))
    return works[0] | {"shard": shard}


def _kinds(
    staging: "Staging",
    kind: Kind,
    works: list[Work],
    rows: "CorpusRows",
    is_new: "np.ndarray",
    perceptual: "Perceptual",
) -> "list[LinkKind]":
    """The links of all records, perceptual ones first: known ones of records that are not new, and this run's."""
    import numpy as np
    import pyarrow.compute as pc

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.records import Reason
    from realsyn_ops.stages.dedup import Kind as LinkKind
    from realsyn_ops.stages.dedup import Links, merge_links

    found = {
        Reason.PERCEPTUAL_DUPLICATE: [perceptual(rows, is_new)],
        Reason.SEMANTIC_DUPLICATE: [
            Links(*(table[name].to_numpy() for name in ("first", "second", "similarity")))
            for work in works
            for table in [staging.read_shard(LINK, work["shard"], "links")]
        ],
    }
    corpus = Corpus(staging.bucket)
    if not is_new.all() and corpus.exists(kind.links):
        published = corpus.read(kind.links, ["key", "other", "similarity", "reason"])
        keys = rows.table["key"].combine_chunks()
        ends = [pc.fill_null(pc.index_in(published[name], keys), -1).to_numpy() for name in ("key", "other")]
        is_known = np.logical_and.reduce([(end >= 0) & ~is_new[end] for end in ends])
        for reason, parts in found.items():
            mine = is_known & pc.equal(published["reason"], str(reason)).to_numpy()
            parts.append(Links(ends[0][mine], ends[1][mine], published["similarity"].to_numpy()[mine]))
    values = {
        Reason.PERCEPTUAL_DUPLICATE: rows.numpy(kind.identity),
        Reason.SEMANTIC_DUPLICATE: rows.numpy("vector_hash"),
    }
    return [LinkKind(reason, values[reason], merge_links(parts)) for reason, parts in found.items()]


def _staged(staging: "Staging", table: "pa.Table", links: "pa.Table", *, largest: int) -> str:
    import pyarrow.compute as pc

    n_nodes = pc.sum(table["n_nodes"]).as_py() or 0
    reasons = pc.value_counts(table["reason"].drop_null()).to_pylist()
    rejected = {row["values"]: row["counts"] for row in reasons}
    counts = {
        "records.in": n_nodes,
        "records.kept": table.num_rows - sum(rejected.values()),
        "records.rejected.identical": n_nodes - table.num_rows,
        **{f"records.rejected.{reason}": n for reason, n in sorted(rejected.items())},
        "links": links.num_rows,
    }
    shard = digest([table.drop_columns(["near"]).to_pydict(), links.num_rows])
    figures = {"largest": largest, "n": table.num_rows}
    staging.put(f"{GROUP}-{shard}-components.json", json.dumps(figures).encode())
    staging.write(GROUP, shard, {"groups": table, "links": links}, counts)
    return shard


def publish_groups(
    staging: "Staging",
    kind: Kind,
    work: Work,
    schema: "pa.Schema",
    tables: "Mapping[str, tuple[pa.Schema, Mapping[str, Rows]]]",
    *,
    rules: Rules,
) -> tuple[dict[str, list[str]], int]:
    """Commit ``tables``, then links, then groups, whichever days changed; the changed days by table, and all rows.

    A run that dies between links and groups leaves records that the next one links again.
    """
    from realsyn_ops.io import schemas
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    staged = {
        kind.links: (schemas.IMAGE_LINKS, staging.read_shard(GROUP, work["shard"], "links")),
        kind.groups: (schema, staging.read_shard(GROUP, work["shard"], "groups")),
    }
    rules.forget_others(kind, staging)
    for name, (its_schema, rows) in staged.items():
        none = dict.fromkeys(corpus.days(name), one_table(rows.slice(0, 0)))
        tables = {**tables, name: (its_schema, none | split_days(rows))}
    changed = publish_days(staging, tables)
    rules.keep(kind, staging)
    return changed, staged[kind.groups][1].num_rows


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


def alarms(staging: "Staging", work: Work, losses: "pd.DataFrame", *, max_share: float) -> "pd.DataFrame":
    """One row a source, with the largest component's share of all records beside it."""
    import pandas as pd

    components = json.loads(staging.get(f"{GROUP}-{work['shard']}-components.json"))
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
