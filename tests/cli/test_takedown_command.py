"""`realsyn takedown`: what it says before anything runs, and that Airflow is told keys and no texts."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from realsyn_ops.cli.services import Stack
from realsyn_ops.cli.takedown import Asked, run_takedown
from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import params
from realsyn_ops.operators.takedown_params import TAKEDOWN
from realsyn_ops.plans import ClusterPlan, CuratePlan
from realsyn_ops.records import image_key, sentence_key, url_key
from realsyn_ops.takedown.picture import similar_images
from realsyn_ops.tombstones import letters_key
from tests.cli.recording_airflow import RecordingAirflow, deployed
from tests.operators.release_corpus import picture, write_pairs
from tests.report.small_corpus import SECOND, record

FORMS = {
    "takedown": list(TAKEDOWN),
    "curate_images": list(params.CURATE),
    "cluster_sentences": list(params.CLUSTER),
    "pair_texts": list(params.PAIR),
}
TEXT = "Sentence 1 of picture 3."


@pytest.fixture(scope="module")
def written(store: Stack) -> Bucket:
    bucket = replace(store.bucket, name="test-takedown-command")
    bucket.create()
    write_pairs(bucket, list(range(6)))
    return bucket


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, written: Bucket) -> Iterator[RecordingAirflow]:
    with deployed(RecordingAirflow(FORMS, follower_at="2026-01-01T12:00:00.500001Z"), written, monkeypatch) as server:
        yield server


def command(tmp_path: Path, asked: Asked, *, do_it: bool = False, why: str = "") -> str:
    out = io.StringIO()
    run_takedown(
        Stack(tmp_path / "home"), Console(file=out, soft_wrap=True), asked,
        why=why, by="anna", delete_raw=False, do_it=do_it, as_json=False,
    )  # fmt: skip
    return out.getvalue()


def test_without_yes_it_says_what_would_go_and_asks_airflow_nothing(airflow: RecordingAirflow, tmp_path: Path) -> None:
    said = command(tmp_path, Asked(sentences=[TEXT.upper()]))
    assert "goes: 0 documents, 0 images, 1 sentence" in said
    assert "pairs: 0 go, 1 get other texts" in said
    assert f"raw file raw/{SECOND}/s/a.zip (a.html): the documents stay" in said
    assert "nothing was changed: --yes does it" in said
    assert (airflow.triggered, airflow.tokens) == ([], set())


def test_with_yes_the_dag_is_told_keys_and_the_newest_day_is_mended(
    airflow: RecordingAirflow, written: Bucket, tmp_path: Path
) -> None:
    common = {"inputs": "in", "code": "c0de", "day": SECOND}
    record(written, "curate_images", CuratePlan(min_side_px=77, **common))
    record(written, "cluster_sentences", ClusterPlan(**common))
    url = "https://example.org/a.html"
    with pytest.raises(PermanentError, match="--why"):
        command(tmp_path, Asked(sentences=[TEXT]), do_it=True)
    command(tmp_path, Asked(sentences=[TEXT], urls=[url]), do_it=True, why="by its author")
    (dag, body), *mended = airflow.triggered
    assert dag == "takedown"
    conf = body["conf"]
    assert (conf["sentences"], conf["letters"]) == ([sentence_key(TEXT)], [letters_key(TEXT)])
    assert (conf["urls"], conf["why"], conf["by"], conf["dry_run"]) == ([url_key(url)], "by its author", "anna", False)
    assert TEXT not in json.dumps(body)
    assert url not in json.dumps(body)
    assert [(d, b["partition_key"]) for d, b in mended] == [("curate_images", SECOND), ("cluster_sentences", SECOND)]
    assert mended[0][1]["conf"]["min_side_px"] == 77


def test_a_picture_is_found_by_its_bytes_and_by_its_look(
    airflow: RecordingAirflow, written: Bucket, tmp_path: Path
) -> None:
    path = tmp_path / "held-up.jpg"
    path.write_bytes(picture(4))
    said = command(tmp_path, Asked(pictures=[path], max_hash_distance=0))
    assert "goes: 0 documents, 1 image, 0 sentences" in said
    path.write_text("no picture")
    with pytest.raises(PermanentError, match="cannot be read as a picture"):
        command(tmp_path, Asked(pictures=[path]))


def test_images_are_found_by_the_vector_of_a_picture(written: Bucket) -> None:
    corpus = Corpus(written)
    key = image_key(picture(2))
    (vector,) = corpus.read("image_embeddings", ["visual"], where=f"key = '{key}'")["visual"].to_pylist()
    assert similar_images(corpus, np.array(vector, np.float32), min_similarity=0.999) == [key]
