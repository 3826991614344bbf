"""`measure_release` task by task on a real bucket: a small model from pixels, trained for real on a small release."""

import hashlib
import json
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException
from PIL import Image

from benchmarks.material.labelled_documents import CLASSES, HeldOut, evaluation_files
from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.release_rows import scan_rows
from realsyn_ops.io.releases import newest, read_release, revoke
from realsyn_ops.io.storage import Bucket
from realsyn_ops.models.trainees import FrozenFeatures
from realsyn_ops.operators import measuring, sampling
from realsyn_ops.operators.measured_arms import COLUMNS, arm_texts
from realsyn_ops.operators.measured_inputs import arm_inputs
from realsyn_ops.operators.params import MEASURE, RELEASE
from realsyn_ops.plans import MeasurePlan
from realsyn_ops.settings import settings
from tests.operators.release_corpus import write_pairs
from tests.report.small_corpus import publish

N, SIZE = 40, 20
TRY: dict[str, Any] = {"seeds": 2, "steps": 20, "batch_size": 4}


@pytest.fixture
def deployed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The environment of an Airflow worker that trains from pixels."""
    extra = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url})
    monkeypatch.setenv("AIRFLOW_CONN_REALSYN_S3", f"aws://{bucket.access_key}:{bucket.secret_key}@/?{extra}")
    monkeypatch.setenv("REALSYN_BUCKET", bucket.name)
    monkeypatch.setenv("REALSYN_TRAINEE", "tiny")
    settings.cache_clear()
    yield bucket
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def released(deployed: Bucket) -> Bucket:
    """Half of forty pairs are released, and there is a set of either kind."""
    write_pairs(deployed, list(range(N)))
    form = {**RELEASE, "size": SIZE, "images_per_cluster": 10, "shard_pairs": 8}
    context = {"params": ParamsDict(form)}
    work = sampling.plan.function(sampling.fit.function(**context), **context)
    shards = [sampling.export.function(shard) for shard in sampling.select.function(work)]
    sampling.publish.function(sampling.audit.function(shards), outlet_events=defaultdict(SimpleNamespace))
    rng = np.random.default_rng(1)
    shown = [
        HeldOut(f"i{i:032x}", Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)), f"Thing {i}.", i % 13)
        for i in range(len(CLASSES) * 2)
    ]
    for path, data in evaluation_files(shown).items():
        deployed.put(f"evaluation/{path}", data)
    return deployed


def plan(**params: Any) -> dict[str, str]:
    return measuring.plan.function(params=ParamsDict({**MEASURE, **TRY, **params}))


def finish(shards: list[dict[str, str]]) -> str:
    events: Any = defaultdict(SimpleNamespace)
    measuring.publish.function(shards, outlet_events=events)
    return f"measures/{events[measuring.assets.MEASURES].extra['measurement']}/"


def contents(bucket: Bucket, prefix: str) -> dict[str, str]:
    return {o.key: hashlib.sha256(bucket.get(o.key)).hexdigest() for o in bucket.list(prefix)}


def test_every_arm_is_trained_from_every_seed_on_one_budget_and_published_once(released: Bucket) -> None:
    version = newest(released)
    release_before = contents(released, "releases/")
    work = plan(arms=["random", "alt", "one_realistic"])
    trainings = measuring.gather.function(work)
    assert [t["shard"] for t in trainings] == [f"{a}-{s}" for a in ("one_realistic", "random") for s in (2502, 2503)]
    shards = [measuring.train.function(training) for training in trainings]
    assert not list(released.list("measures/")), "nothing is visible before it is whole"
    folder = finish(shards)
    assert folder.startswith(f"measures/{version}/")
    facts = json.loads(released.get(f"{folder}scores.json"))
    assert facts["absent"] == {"alt": "none of its images has an alternative text where it stands"}
    assert facts["pairs"] == {"one_realistic": SIZE, "random": SIZE}
    assert {one["n_images_seen"] for one in facts["trainings"].values()} == {20 * 4}
    for of_metric in (*facts["results"]["classes"].values(), *facts["results"]["lines"].values()):
        assert {arm: len(row["values"]) for arm, row in of_metric["arms"].items()} == {"one_realistic": 2, "random": 2}
    assert facts["sets"]["classes"] == {"kind": "classification", "n_images": 26, "n_classes": 13}
    assert "`alt`: none of its images" in released.get(f"{folder}README.md").decode()
    for file in json.loads(released.get(f"{folder}manifest.json"))["files"]:
        assert hashlib.sha256(released.get(folder + file["path"])).hexdigest() == file["sha256"]
    assert contents(released, "releases/") == release_before, "a release never changes"
    with pytest.raises(AirflowSkipException, match="there already"):
        plan(arms=["one_realistic", "random", "alt"])

    before = contents(released, "measures/")
    for item in list(released.list(f"{work['staging']}/train/one_realistic-2503")):
        released.delete(item.key)
    measuring.train.function(shards[1])
    assert finish(shards) == folder
    assert contents(released, "measures/") == before, "trained again, it is the same"


def test_texts_of_an_arm_are_those_of_the_release_of_the_place_or_of_an_even_draw(released: Bucket) -> None:
    corpus, release = Corpus(released), read_release(released, newest(released))
    columns = ["key", "day", "document_key", "node", "src", "url", "alt", "caption"]
    nodes = corpus.read("image_nodes", columns).to_pylist()
    rows = pa.concat_tables([table for _, table in scan_rows(released, release.version, COLUMNS)])
    keys = rows["key"].to_pylist()
    told = {row["key"]: f" About {row['key']}. " for row in nodes if row["key"] in keys[:5]}
    later = {row["key"]: f"Later, {row['key']}" for row in nodes}
    publish(
        corpus,
        "image_nodes",
        [row | {"alt": told.get(row["key"], "")} for row in nodes]
        + [row | {"alt": later[row["key"]], "document_key": "dz"} for row in nodes if row["key"] == keys[0]],
    )
    chosen = MeasurePlan(inputs="", code="", release=release.version)
    found = {arm: arm_texts(arm, rows, corpus, release, chosen)[0] for arm in chosen.arms}
    first = rows.to_pylist()[0]
    assert found["three_and_synthetic"][keys[0]] == [first[f"text{i}"] for i in (1, 2, 3)] + [first["syn_text"]]
    assert found["alt"] == {key: [text.strip()] for key, text in told.items()}
    assert set(found["same_document"]) == set(keys)
    assert {type(texts[0]) for texts in found["same_document"].values()} == {str}
    selection = release.manifest["selection"]
    pairs = {row["key"]: row for row in corpus.read("pairs", ["key", "syn_similarity", "syn_text"]).to_pylist()}
    assert len(found["random"]) == SIZE and set(found["random"]) != set(keys)
    for key, texts in found["random"].items():
        assert selection["lower"] <= pairs[key]["syn_similarity"] <= selection["upper"]
        assert texts[3] == pairs[key]["syn_text"]
    other = MeasurePlan(inputs="", code="", release=release.version, seed=7)
    assert set(arm_texts("random", rows, corpus, release, other)[0]) != set(found["random"])


def test_pictures_are_the_same_kept_or_read_for_each_batch_and_vectors_are_the_corpus(
    released: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of an even draw that are not in the release come from the corpus."""

    class Trainee(FrozenFeatures):
        side_px, n_looks = 16, 0

        def __init__(self) -> None:
            """Without an encoder: only looks."""

        def look(self, images: list[Image.Image]) -> np.ndarray:
            self.n_looks += 1
            return np.array([np.asarray(image.resize((16, 16))) for image in images], np.float32)

    rows = Corpus(released).read("image_embeddings", ["key", "day", "visual"]).to_pylist()
    keys, positions = [(row["key"], row["day"]) for row in rows], np.array([3, 0, 39])
    looked = []
    for limit, n_looks in ((2**30, 0), (2**16, 1)):
        monkeypatch.setenv("REALSYN_MEMORY_BYTES", str(limit))
        settings.cache_clear()
        trainee = Trainee()
        with arm_inputs(released, newest(released), keys, trainee) as inputs:
            before = trainee.n_looks
            looked.append(inputs(positions))
            assert trainee.n_looks - before == n_looks
    assert looked[0].shape == (3, 16, 16, 3)
    assert np.array_equal(*looked)
    Trainee.side_px = 0
    with arm_inputs(released, newest(released), keys, Trainee()) as inputs:
        assert inputs(positions).tolist() == [rows[i]["visual"] for i in positions]
    with (
        pytest.raises(PermanentError, match="no vector"),
        arm_inputs(released, newest(released), [("i" + "0" * 32, keys[0][1])], Trainee()),
    ):
        pass


def test_a_measurement_needs_a_release_that_may_be_used_and_sets(deployed: Bucket) -> None:
    with pytest.raises(AirflowSkipException, match="no release"):
        plan()
    with pytest.raises(PermanentError, match="'2020-01-01-0' is not published"):
        plan(release="2020-01-01-0")


def test_nothing_is_trained_on_a_revoked_release_or_without_sets(released: Bucket) -> None:
    with pytest.raises(PermanentError, match="no evaluation set below"):
        plan(evaluation="elsewhere")
    revoke(released, newest(released), "a takedown")
    with pytest.raises(PermanentError, match="is revoked \\(a takedown\\)"):
        plan()
