"""What the models have measured of sentences, kept so that no run measures a sentence twice (`sentence_measures`).

A measure depends on the sentence and on what made it, never on the run, its limits or the shard: one of an earlier run
is as good as a new one. A day's measures are looked up within the day: a lookup reads no other day's keys.
"""

from typing import TYPE_CHECKING, Any

from realsyn_ops.plans import ClusterPlan

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging

TABLE = "sentence_measures"
MEASURES = {"parsed_by": ("n_relations", "n_actions"), "scored_by": ("perplexity",)}
"""What is measured together, by the column that says what made it."""


def known_measures(
    corpus: "Corpus", chosen: ClusterPlan, maker: str, *, keys: tuple[str, str]
) -> dict[str, dict[str, Any]]:
    """Measures of a range of sentences, by key, that the plan's models made; ``maker``: `parsed_by` or `scored_by`."""
    if not corpus.exists(TABLE):
        return {}
    columns = ["key", maker, *MEASURES[maker]]
    table = corpus.read(TABLE, columns, day=chosen.day, where=key_range(keys))
    return {row["key"]: row for row in table.to_pylist() if row[maker] == getattr(chosen, maker)}


def key_range(keys: tuple[str, str]) -> str:
    return f"key >= '{keys[0]}' AND key <= '{keys[1]}'"


def day_measures(staging: "Staging", chosen: ClusterPlan, scores: "pa.Table") -> "pa.Table":
    """What the corpus is to know of the day's sentences: this run's measures, and earlier ones of the same models.

    A run with narrower limits measures less than one before; what that one measured stays.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.io import schemas
    from realsyn_ops.io.corpus import Corpus

    columns = [column for maker, measured in MEASURES.items() for column in (maker, *measured)]
    rows = scores.select(["key", "day"])
    corpus = Corpus(staging.bucket)
    known = schemas.SENTENCE_MEASURES.empty_table()
    if corpus.exists(TABLE):
        known = corpus.read(TABLE, schemas.SENTENCE_MEASURES.names, day=chosen.day)
    rows = rows.join(known.select(["key", *columns]), "key").sort_by("key")
    scores = scores.sort_by("key")
    for maker, measured in MEASURES.items():
        made_by = pa.scalar(getattr(chosen, maker))
        is_same = pc.fill_null(pc.equal(rows[maker], made_by), False)
        for column in measured:
            earlier = pc.if_else(is_same, rows[column], pa.scalar(None, rows[column].type))
            values = pc.coalesce(scores[column], earlier)
            rows = rows.set_column(rows.column_names.index(column), column, values)
        is_there = pc.is_valid(rows[measured[0]])
        made = pc.if_else(is_there, made_by, pa.scalar(None, pa.string()))
        rows = rows.set_column(rows.column_names.index(maker), maker, made)
    return rows.select(schemas.SENTENCE_MEASURES.names).cast(schemas.SENTENCE_MEASURES).combine_chunks()
