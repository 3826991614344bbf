"""The tasks of `pair_texts` that find texts, on a real bucket with made-up vectors: what is searched and found."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.io import schemas
from realsyn_ops.io.codebook import Codebook, publish_codebook
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.tag_lists import TagList, publish_tag_list
from realsyn_ops.operators import pair_rules, retrieval, search, shard_steps
from realsyn_ops.operators.kept_arrays import KeptArrays
from realsyn_ops.operators.linked import SENTENCES, Rules
from realsyn_ops.operators.params import PAIR
from realsyn_ops.plans import PairPlan
from realsyn_ops.settings import settings
from realsyn_ops.stages import retrieve
from realsyn_ops.stages.dedup import vector_identity

DIM, N_IMAGES, N_SENTENCES = 16, 12, 60
FIRST, SECOND = "2025-02-18", "2025-02-19"
Vectors = dict[str, np.ndarray]
Found = tuple[dict[str, list[str]], int]


def unit_rows(seed: int, n: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


IMAGES = {f"i{i:03d}": row for i, row in enumerate(unit_rows(1, N_IMAGES))}
WORDS = {f"s{i:03d}": row for i, row in enumerate(unit_rows(2, N_SENTENCES))}


def day_of(key: str) -> str:
    """Every fourth record came a day later."""
    return SECOND if int(key[1:]) % 4 == 3 else FIRST


def put(bucket: Bucket, name: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    days: dict[str, Any] = dict.fromkeys((FIRST, SECOND), lambda columns: [schema.empty_table().select(columns)])
    for day in {row["day"] for row in rows}:
        table = pa.Table.from_pylist([row for row in rows if row["day"] == day], schema=schema)
        days[day] = lambda columns, table=table: [table.select(columns)]
    Corpus(bucket).publish(name, schema, days)


def publish(bucket: Bucket, images: Vectors, sentences: Vectors) -> None:
    """What the two Dags before would have published of these survivors."""
    base = {key: {"key": key, "day": day_of(key), "n_nodes": 1} for key in (*images, *sentences)}
    put(
        bucket, "image_embeddings", schemas.image_embeddings(DIM, DIM),
        [base[k] | {"n_pixels": 1, "phash": 1, "embedding": v, "visual": v} for k, v in images.items()],
    )  # fmt: skip
    put(
        bucket, "sentence_embeddings", schemas.sentence_embeddings(DIM, 20),
        [
            base[k] | {"text": f"text {k}", "bands": [0] * 20, "embedding": v, "vector_hash": same}
            for (k, v), same in zip(sentences.items(), vector_identity(np.array([*sentences.values()])), strict=True)
        ],
    )  # fmt: skip
    put(bucket, "curated_images", schemas.CURATED_IMAGES, [base[key] for key in images])
    put(
        bucket, "sentence_clusters", schemas.SENTENCE_CLUSTERS,
        [base[key] | {"text": f"text {key}", "cluster": 0} for key in sentences],
    )  # fmt: skip


@pytest.fixture
def pair(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the tasks up to the texts and publishes them as pairs; returns the texts' keys by image, and how many images
    were searched over everything."""
    for module in (retrieval, shard_steps):
        monkeypatch.setattr(module, "open_staging", lambda work: Staging(bucket, work["staging"]))
    monkeypatch.setattr(retrieval, "open_bucket", lambda: bucket)
    centroids = unit_rows(3, 4).astype(np.float32)
    version = publish_codebook(bucket, Codebook({"a": 1}, centroids / np.linalg.norm(centroids, axis=1, keepdims=True)))
    rules = Rules(version, "c0de", 0.9, 0.8)

    def pair(
        images: Vectors, sentences: Vectors, *, day: str = FIRST, **params: Any
    ) -> tuple[dict[str, list[str]], int]:
        publish(bucket, images, sentences)
        staging = Staging(bucket, "staging/cluster_sentences/x/y")
        rules.keep(SENTENCES, staging)
        form = {name: param.value for name, param in PAIR.items()} | {"preset": "demo"} | params
        works = retrieval.prepare.function(retrieval.plan.function(partition_key=day, params=form))
        shards = retrieval.collect.function([retrieval.retrieve.function(work) for work in works])
        staging = Staging(bucket, works[0]["staging"])
        found = pa.concat_tables(staging.read_shard(search.RETRIEVE, work["shard"], "texts") for work in works)
        rows = {row["key"]: row for row in found.to_pylist()}
        known = retrieval.published_pairs(Corpus(bucket))
        rows = {key: rows.get(key) or known[key] for key in sorted(images)}
        put(bucket, "pairs", schemas.PAIRS, list(rows.values()))
        chosen = PairPlan.from_json(staging.plan_json())
        pair_rules.keep(staging, chosen, shards[0]["prepared"])
        markers = [staging.get(f"{search.RETRIEVE}/{work['shard']}.json") for work in works]
        searched = sum(json.loads(marker)["counts"]["searched"] for marker in markers)
        return {key: row["text_keys"] for key, row in rows.items()}, searched

    return pair


def best(image: np.ndarray, sentences: Vectors, n: int = 3) -> list[str]:
    """By hand: keys by cosine of the vectors as they are stored, ties by key."""

    def unit(vector: np.ndarray) -> np.ndarray:
        wide = vector.astype(np.float32)
        return (wide / np.linalg.norm(wide)).astype(np.float64)

    return sorted(sentences, key=lambda key: (-round(float(unit(sentences[key]) @ unit(image)), 6), key))[:n]


def test_every_image_gets_its_three_best_sentences(pair: Any) -> None:
    texts, searched = pair(IMAGES, WORDS)
    assert texts == {key: best(vector, WORDS) for key, vector in IMAGES.items()}
    assert searched == N_IMAGES


def test_parts_give_the_same_texts_and_later_ones_are_asked_only_for_better(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "HELD", settings().memory_bytes // (13 * DIM))
    asked: list[tuple[int, bool]] = []

    def recorded(*args: Any, **kwargs: Any) -> retrieve.Candidates:
        least = kwargs["least"]
        asked.append((len(kwargs["keys"]), least is not None and bool(np.isfinite(least).all())))
        return found(*args, **kwargs)

    found = retrieve.search
    monkeypatch.setattr(retrieve, "search", recorded)
    texts, _ = pair(IMAGES, WORDS)
    assert texts == {key: best(image, WORDS) for key, image in IMAGES.items()}
    assert asked == [(12, i > 0) for i in range(5)] * 2, "the texts, then the recall"


def test_a_new_day_searches_new_images_only_and_ends_as_all_at_once(pair: Any, bucket: Bucket) -> None:
    early = [{k: v for k, v in of.items() if day_of(k) == FIRST} for of in (IMAGES, WORDS)]
    before, _ = pair(*early)
    after, searched = pair(IMAGES, WORDS, day=SECOND)
    assert after == {key: best(vector, WORDS) for key, vector in IMAGES.items()}
    assert any(after[key] != before[key] for key in before)
    assert searched == sum(day_of(key) == SECOND for key in IMAGES)


def test_an_image_that_has_lost_a_text_is_searched_again_and_no_other(pair: Any) -> None:
    before, _ = pair(IMAGES, WORDS)
    gone = before["i000"][1]
    left = {key: vector for key, vector in WORDS.items() if key != gone}
    after, searched = pair(IMAGES, left)
    assert after == {key: best(vector, left) for key, vector in IMAGES.items()}
    assert searched == sum(gone in texts for texts in before.values())


def test_nothing_new_is_no_work(pair: Any) -> None:
    before, _ = pair(IMAGES, WORDS)
    assert pair(IMAGES, WORDS) == (before, 0)


def test_a_new_sentence_too_like_a_text_uncovers_what_that_one_had_hidden(pair: Any) -> None:
    first, second, third = best(IMAGES["i000"], WORDS)
    near = WORDS[second] + 0.02 * WORDS[first]
    crowded = WORDS | {"s900": (near / np.linalg.norm(near.astype(np.float64))).astype(np.float16)}
    assert best(IMAGES["i000"], crowded, 3)[1] == "s900"
    pair(IMAGES, WORDS)
    after, _ = pair(IMAGES, crowded, max_text_similarity=0.95)
    assert after["i000"] == [first, "s900", third]
    rebuilt, searched = pair(IMAGES, crowded, max_text_similarity=0.950001)
    assert (rebuilt, searched) == (after, N_IMAGES)


def test_texts_behind_many_that_are_alike_are_found(pair: Any) -> None:
    """The few candidates that are looked for first are one text: more are asked for."""
    first, second, third = best(IMAGES["i000"], WORDS)
    alike = {f"s9{i:02d}": (WORDS[first] + 0.02 * unit_rows(10 + i, 1)[0]).astype(np.float16) for i in range(6)}
    crowded = WORDS | alike
    assert {*best(IMAGES["i000"], crowded, 5)} <= {first, *alike}
    texts, searched = pair(IMAGES, crowded, max_text_similarity=0.95)
    assert texts["i000"] == [best(IMAGES["i000"], crowded, 1)[0], second, third]
    assert searched == N_IMAGES


def test_a_sentence_is_seen_once_and_again_when_its_day_has_other_vectors(
    pair: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    made = KeptArrays._made
    monkeypatch.setattr(KeptArrays, "_made", lambda self, rows: seen.append(len(rows)) or made(self, rows))
    pair(IMAGES, WORDS)
    pair(IMAGES, WORDS, max_text_similarity=0.9)
    assert sorted(seen) == [N_SENTENCES // 4, N_SENTENCES * 3 // 4]
    turned = WORDS | {"s003": unit_rows(9, 1)[0]}
    texts, _ = pair(IMAGES, turned, max_text_similarity=0.99)
    assert sorted(seen) == [N_SENTENCES // 4, N_SENTENCES // 4, N_SENTENCES * 3 // 4]
    assert texts == {key: best(vector, turned) for key, vector in IMAGES.items()}
    assert len(list(bucket.list("corpus/sightings/"))) == 2


def test_images_among_many_sentences_read_few_of_them(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "READ_FOR_ONE", 0)
    texts, _ = pair(IMAGES, WORDS)
    assert texts == {key: best(vector, WORDS) for key, vector in IMAGES.items()}


def test_with_other_rules_everything_is_searched(pair: Any) -> None:
    pair(IMAGES, WORDS)
    assert pair(IMAGES, WORDS, max_text_similarity=0.9)[1] == N_IMAGES


def test_probes_of_the_plan_are_the_nearest_clusters(pair: Any, bucket: Bucket) -> None:
    few, _ = pair(IMAGES, WORDS, n_probes=1)
    every, _ = pair(IMAGES, WORDS, n_probes=4)
    assert every == {key: best(vector, WORDS) for key, vector in IMAGES.items()}
    assert few != every


def test_a_sentence_is_a_text_of_so_many_images_at_most(pair: Any) -> None:
    texts, _ = pair(IMAGES, WORDS, max_uses=1)
    used = [key for keys in texts.values() for key in keys]
    assert len(used) == len(set(used))


def test_a_sentence_of_the_images_own_document_is_no_text_of_it(pair: Any, bucket: Bucket) -> None:
    own = best(IMAGES["i000"], WORDS)[0]
    put(bucket, "image_nodes", schemas.IMAGE_NODES, [{"key": "i000", "day": FIRST, "document_key": "d1", "node": 0}])
    node = {"key": own, "day": FIRST, "document_key": "d1", "node": 1, "position": 0}
    put(bucket, "sentence_nodes", schemas.SENTENCE_NODES, [node])
    texts, _ = pair(IMAGES, WORDS, own_document=False)
    assert texts["i000"] == best(IMAGES["i000"], WORDS, 4)[1:]


def test_another_list_of_tags_makes_every_pair_anew_and_searches_none(pair: Any, bucket: Bucket) -> None:
    found = TagList([{"tag": tag, "concreteness": 0.5, "n_sentences": None} for tag in ("oak", "elm")], {}, {})
    publish_tag_list(bucket, found)
    before, _ = pair(IMAGES, WORDS)
    made = set(Corpus(bucket).read("pairs", ["made_by"])["made_by"].to_pylist())
    assert pair(IMAGES, WORDS, tag_list=found.version) == (before, 0)
    remade = set(Corpus(bucket).read("pairs", ["made_by"])["made_by"].to_pylist())
    assert len(remade) == len(made) == len(made - remade) == 1
    models = [json.loads(bucket.get(o.key))["models"] for o in bucket.list("staging/") if o.key.endswith("plan.json")]
    assert sorted(dict(of)["tagger"] for of in models) == ["demo", f"mined:{found.version}"]


def test_a_list_of_tags_that_is_not_there_is_refused_by_the_first_task(pair: Any) -> None:
    pair(IMAGES, WORDS)
    with pytest.raises(PermanentError, match="no tag list '0123456789abcdef'"):
        pair(IMAGES, WORDS, tag_list="0123456789abcdef")


def test_clusters_that_are_being_made_anew_are_waited_for(pair: Any, bucket: Bucket) -> None:
    pair(IMAGES, WORDS)
    Rules("other", "c0de", 0.9, 0.8).forget_others(SENTENCES, Staging(bucket, "staging/cluster_sentences/x/y"))
    form = {name: param.value for name, param in PAIR.items()} | {"preset": "demo"}
    with pytest.raises(TransientError, match="sentence_clusters"):
        retrieval.plan.function(partition_key=FIRST, params=form)


def test_the_run_says_how_much_of_the_exact_search_it_found(pair: Any, bucket: Bucket) -> None:
    pair(IMAGES, WORDS)
    found = [json.loads(bucket.get(o.key)) for o in bucket.list("staging/pair_texts/") if "/retrieval-" in o.key]
    assert [(m["recall"], m["n_images"], m["share_of_sentences_scored"]) for m in found] == [(1.0, N_IMAGES, 1.0)]
