"""Rows of all days, on a real bucket: what is made of published vectors is made once a day, and kept."""

import numpy as np
import pyarrow as pa
import pytest

from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators.corpus_rows import RowsAt
from realsyn_ops.operators.linked import SENTENCES
from realsyn_ops.operators.publishing import one_table
from realsyn_ops.stages.dedup import vector_identity

DIM, DAYS, TODAY = 8, ("2025-01-01", "2025-01-02"), "2025-01-03"
SCHEMA = schemas.sentence_embeddings(DIM, 20)


def day_table(day: str, seed: int) -> pa.Table:
    vectors = np.random.default_rng(seed).standard_normal((20, DIM)).astype(np.float16)
    rows = [
        {"key": f"{number:02}-{day}", "day": day, "text": "a text", "n_nodes": 1, "letters_hash": number,
         "bands": [0] * 20, "vector_hash": int(same), "embedding": vector}
        for number, (vector, same) in enumerate(zip(vectors, vector_identity(vectors), strict=True))
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture
def staging(bucket: Bucket) -> Staging:
    """Two days that are published, and today's staged rows."""
    for seed, day in enumerate(DAYS):
        Corpus(bucket).publish("sentence_embeddings", SCHEMA, {day: one_table(day_table(day, seed))})
    staging = Staging(bucket, f"staging/cluster_sentences/{TODAY}/0")
    staging.write(SENTENCES.stage, "00000", {"embeddings": day_table(TODAY, 2)}, {})
    return staging


def test_what_is_made_of_published_vectors_is_kept_and_stands_in_the_order_asked_for(
    staging: Staging, bucket: Bucket
) -> None:
    made_of: list[int] = []

    def make(vectors: np.ndarray) -> dict[str, np.ndarray]:
        made_of.append(len(vectors))
        return {"doubled": 2 * vectors, "first": vectors[:, 0]}

    positions = np.arange(0, 60, 2)
    for _ in range(2):
        rows = SENTENCES.rows(staging)
        vectors = rows.vectors(positions)
        found = rows.made(positions, "things/some", make)
        assert np.array_equal(found["doubled"], 2 * vectors)
        assert np.array_equal(found["first"], vectors[:, 0])
        assert np.array_equal(RowsAt(rows, positions)[np.array([4, 7])], vectors[[4, 7]])
    n_staged = sum(day == TODAY for day in np.array(rows["day"])[positions])
    assert sorted(n for n in made_of if n) == sorted([n_staged, n_staged, 20, 20])
    names = [item.key.removeprefix("corpus/things/some/")[:10] for item in bucket.list("corpus/things/")]
    assert names == [*DAYS]


def test_a_day_with_other_vectors_is_made_again_and_what_was_kept_of_it_goes(staging: Staging, bucket: Bucket) -> None:
    def make(vectors: np.ndarray) -> dict[str, np.ndarray]:
        return {"same": vectors.copy()}

    SENTENCES.rows(staging).made(np.arange(60), "things/some", make)
    before = {item.key for item in bucket.list("corpus/things/")}
    Corpus(bucket).publish("sentence_embeddings", SCHEMA, {DAYS[0]: one_table(day_table(DAYS[0], 9))})
    rows = SENTENCES.rows(staging)
    assert np.array_equal(rows.made(np.arange(60), "things/some", make)["same"], rows.vectors(np.arange(60)))
    after = {item.key for item in bucket.list("corpus/things/")}
    assert len(after) == 2
    assert len(after & before) == 1
