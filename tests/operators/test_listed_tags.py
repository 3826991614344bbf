"""A pair's tags come from the list that its plan names, by the image's stored vector: the picture is not looked at."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from realsyn_ops.io import schemas
from realsyn_ops.io.codebook import Codebook, publish_codebook
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.tag_lists import TagList, publish_tag_list
from realsyn_ops.models.load import load_encoder
from realsyn_ops.operators import retrieval, shard_steps, synthesis
from realsyn_ops.operators.linked import SENTENCES, Rules
from realsyn_ops.operators.params import PAIR
from realsyn_ops.operators.publishing import one_table
from realsyn_ops.settings import settings
from realsyn_ops.stages.dedup import N_BANDS

DAY = "2025-02-18"
TAGS = ("rosella", "wheelbarrow", "lighthouse", "teaspoon", "accordion", "glacier", "pumpkin", "submarine", "cactus",
        "typewriter", "saddle", "igloo", "trombone", "anchor", "waterfall")  # fmt: skip
TEXTS = ("The old mill turns slowly.", "He keeps bees behind the barn.", "Nobody saw the comet that night.")


@pytest.fixture
def corpus(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Two white pictures whose stored vectors are those of a lighthouse and of a cactus."""
    for module in (retrieval, shard_steps):
        monkeypatch.setattr(module, "open_staging", lambda work: Staging(bucket, work["staging"]))
    monkeypatch.setattr(retrieval, "open_bucket", lambda: bucket)
    encoder = load_encoder("demo", device="cpu", threads=settings().threads, models_path=settings().models_path)
    seen = encoder.encode_texts(["a photo of a lighthouse.", "a photo of a cactus."]).astype(np.float16)
    said = encoder.encode_texts([*TEXTS]).astype(np.float16)
    version = publish_codebook(bucket, Codebook({"a": 1}, said.astype(np.float32)[:1]))
    Rules(version, "c0de", 0.9, 0.8).keep(SENTENCES, Staging(bucket, "staging/cluster_sentences/x/y"))
    png = io.BytesIO()
    Image.new("RGB", (120, 120), "white").save(png, "PNG")
    picture = {"data": png.getvalue(), "format": "PNG", "width": 120, "height": 120}
    images = [{"key": f"i{i}", "day": DAY, "n_nodes": 1, "embedding": v, "visual": v} for i, v in enumerate(seen)]
    sentences = [
        {"key": f"s{i}", "day": DAY, "n_nodes": 1, "cluster": 0, "text": t, "embedding": v, "bands": [0] * N_BANDS}
        for i, (t, v) in enumerate(zip(TEXTS, said, strict=True))
    ]
    for name, schema, rows in (
        ("images", schemas.IMAGES, [row | picture for row in images]),
        ("image_embeddings", schemas.image_embeddings(384, 384), images),
        ("curated_images", schemas.CURATED_IMAGES, images),
        ("sentence_embeddings", schemas.sentence_embeddings(384, N_BANDS), sentences),
        ("sentence_clusters", schemas.SENTENCE_CLUSTERS, sentences),
    ):
        table = schemas.pa.Table.from_pylist([{f: row.get(f) for f in schema.names} for row in rows], schema=schema)
        Corpus(bucket).publish(name, schema, {DAY: one_table(table)})
    return bucket


def tags_of(bucket: Bucket, **params: Any) -> tuple[dict[str, list[str]], str]:
    """Tags by image, and the tagger that the run's plan names."""
    form = {name: param.value for name, param in PAIR.items()} | {"preset": "demo"} | params
    works = retrieval.prepare.function(retrieval.plan.function(partition_key=DAY, params=form))
    [work] = retrieval.collect.function([retrieval.retrieve.function(work) for work in works])
    synthesis.synthesize.function(work)
    staging = Staging(bucket, work["staging"])
    rows = staging.read_shard(retrieval.SYNTHESIZE, work["shard"], "pairs").to_pylist()
    return {row["key"]: row["tags"] for row in rows}, dict(json.loads(staging.plan_json())["models"])["tagger"]


def test_tags_are_those_of_the_named_list_that_the_stored_vectors_are_near_to(corpus: Bucket) -> None:
    found = TagList([{"tag": tag, "concreteness": 0.5, "n_sentences": 2} for tag in TAGS], {}, {})
    publish_tag_list(corpus, found)
    assert tags_of(corpus, tag_list=found.version) == (
        {"i0": ["lighthouse"], "i1": ["cactus"]},
        f"mined:{found.version}",
    )


def test_without_a_list_the_presets_tagger_looks_at_the_pictures_though_lists_are_there(corpus: Bucket) -> None:
    publish_tag_list(corpus, TagList([{"tag": tag, "concreteness": 0.5, "n_sentences": 2} for tag in TAGS], {}, {}))
    tags, tagger = tags_of(corpus)
    assert tagger == "demo"
    assert tags["i0"] == tags["i1"]
