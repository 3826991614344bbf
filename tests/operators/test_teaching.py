"""The tasks of `teach_rewriter` on a real bucket, with a teacher behind a real server: what becomes a lesson."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.releases import is_published, read_manifest
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.models.load import load_rewriter
from realsyn_ops.operators import shard_steps, teaching
from realsyn_ops.operators.params import TEACH
from realsyn_ops.plans import TeachPlan
from tests.models.chat_server import ChatServer, chat_server, said
from tests.report.small_corpus import FIRST, SECOND, publish

BIRDS = ["magpie", "crow", "jay", "rook", "raven", "swift", "robin", "wren", "heron", "stork", "crane", "goose"]
N = 24
Run = Callable[..., dict[str, bytes]]


def text(i: int) -> str:
    return f"The {BIRDS[i % 12]} builds {i + 3} large nests of twigs in tall trees."


def answer(i: int) -> str:
    return f"A {BIRDS[i % 12]} on a fence builds {i + 3} nests of twigs in tall trees."


def pair(i: int, **more: Any) -> dict[str, Any]:
    row = {
        "key": f"i{i:016d}{i:016d}", "day": FIRST if i % 2 else SECOND, "cluster": 0,
        "text_keys": [f"s{i // 2:03d}", "s900", "s901"], "texts": [text(i), "Another text.", "A third text."],
        "caption": f"a {BIRDS[i % 12]} on a fence",
        "similarities": [0.5, 0.4, 0.3], "tags": [BIRDS[i % 12], "fence"], "syn_text": "x", "syn_origin": "template",
        "syn_similarity": 0.3, "reason": None, "made_by": "m",
    }  # fmt: skip
    return row | more


PAIRS = [
    *(pair(i) for i in range(N)),
    pair(30, texts=[text(2), "B.", "C."], caption=pair(2)["caption"], tags=pair(2)["tags"]),  # identical to the third
    pair(31, reason="too_few_texts"),
]


@pytest.fixture
def teacher() -> Iterator[ChatServer]:
    """Merges as asked; invents where a nest has the number of every fifth image, and refuses to be asked again."""

    def reply(body: dict[str, Any]) -> tuple[int, bytes]:
        asked = " ".join(m["content"] for m in body["messages"] if m["role"] == "user")
        found = re.findall(r"builds (\d+) large nests", asked)
        i = int(found[-1]) - 3
        return 200, said(f"The eagle of Paris builds {i + 3} nests." if i % 5 == 4 else answer(i))

    with chat_server() as server:
        server.pause_s, server.reply = 0, reply
        yield server


@pytest.fixture
def run(bucket: Bucket, teacher: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Publishes the pairs and runs the tasks; returns the published files by path."""
    for module in (teaching, shard_steps):
        monkeypatch.setattr(module, "open_staging", lambda work: Staging(bucket, work["staging"]))
    monkeypatch.setattr(teaching, "open_bucket", lambda: bucket)
    monkeypatch.setitem(teaching.ask.asked, "api_key", lambda: "")
    corpus = Corpus(bucket)
    publish(corpus, "pairs", PAIRS)
    publish(corpus, "curated_images", [curated(row) for row in PAIRS])

    def run(until: str = "publish", **params: Any) -> dict[str, bytes]:
        load_rewriter.cache_clear()  # type: ignore[attr-defined]
        form = {name: param.value for name, param in TEACH.items()}
        form |= {"teacher": f"{teacher.url}#big", "size": 16, "shard_triples": 5, "held_out_share": 0.3} | params
        work = teaching.plan.function(params=form)
        shards = [teaching.ask.function(w) for w in teaching.draw.function(work)]
        if until == "publish":
            teaching.publish.function(shards, outlet_events={teaching.assets.LESSONS: SimpleNamespace(extra=None)})
        prefix = f"lessons/{work['shard']}/"
        return {item.key[len(prefix) :]: bucket.get(item.key) for item in bucket.list(prefix)}

    return run


def curated(row: dict[str, Any]) -> dict[str, Any]:
    """Images in clusters of very different sizes: the first 16 in one, the others in four."""
    i = int(row["key"][17:])
    return {"key": row["key"], "day": row["day"], "n_nodes": 1, "cluster": 0 if i < 16 else i % 4 + 1, "reason": None}


def lines(files: dict[str, bytes], path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[path].decode().splitlines()]


def test_accepted_answers_are_lessons_in_every_format_and_no_others(run: Run, teacher: ChatServer) -> None:
    files = run()
    trl = {part: lines(files, f"trl/{part}.jsonl") for part in ("train", "held_out")}
    assert trl["train"] and trl["held_out"]
    for part, rows in trl.items():
        alpaca = json.loads(files[f"llamafactory/alpaca_{part}.json"])
        sharegpt = json.loads(files[f"llamafactory/sharegpt_{part}.json"])
        assert [(r["system"], r["instruction"], r["input"], r["output"]) for r in alpaca] == [
            (r["prompt"][0]["content"], r["prompt"][1]["content"], "", r["completion"][0]["content"]) for r in rows
        ]
        assert [[r["system"], *(turn["value"] for turn in r["conversations"])] for r in sharegpt] == [
            [r["prompt"][0]["content"], r["prompt"][1]["content"], r["completion"][0]["content"]] for r in rows
        ]
        assert {tuple(turn["from"] for turn in r["conversations"]) for r in sharegpt} == {("human", "gpt")}
    lessons = trl["train"] + trl["held_out"]
    for row in lessons:
        found = re.search(r"builds (\d+) large nests", row["prompt"][1]["content"])
        assert found
        assert row["completion"] == [{"role": "assistant", "content": answer(int(found[1]) - 3)}]
        assert (int(found[1]) - 3) % 5 != 4
    asked = {body["messages"][-1]["content"] for _, _, body in teacher.requests if len(body["messages"]) == 6}
    assert {row["prompt"][1]["content"] for row in lessons} <= asked, "a lesson is the question as it was asked"


def test_every_triple_is_a_lesson_or_counted_with_its_reason(run: Run, bucket: Bucket) -> None:
    files = run()
    manifest = json.loads(files["manifest.json"])
    assert manifest["n_candidates"] == N + 1
    assert manifest["n_drawn"] == manifest["n_train"] + manifest["n_held_out"] + sum(manifest["refused"].values())
    assert set(manifest["refused"]) <= {"ungrounded_word", "ungrounded_name"}
    for file in manifest["files"]:
        data = files[file["path"]]
        assert file["bytes"] == len(data)
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert {*files} == {file["path"] for file in manifest["files"]} | {"manifest.json"}
    readme = files["README.md"].decode()
    assert "`big`" in readme
    assert manifest["files"][0]["sha256"] in readme
    info = json.loads(files["llamafactory/dataset_info.json"])
    assert {f"llamafactory/{entry['file_name']}" for entry in info.values()} < {*files}


def test_the_draw_is_even_over_image_clusters_and_takes_identical_triples_once(run: Run, bucket: Bucket) -> None:
    run(until="ask", size=12)
    (prefix,) = {item.key.rsplit("/", 1)[0] for item in bucket.list("staging/") if item.key.endswith("plan.json")}
    rows = Staging(bucket, prefix).read_shard("draw", "all", "triples").to_pylist()
    sizes = Counter(curated(row)["cluster"] for row in rows)
    assert sizes == {0: 3, 1: 2, 2: 2, 3: 3, 4: 2}, "of 16, 2, 2, 3 and 2: the large cluster does not get its share"
    assert Staging(bucket, prefix).counts("draw")["triples.in"] == N + 1
    run(until="ask", size=100)
    prefixes = {item.key.rsplit("/", 1)[0] for item in bucket.list("staging/") if item.key.endswith("plan.json")}
    (other,) = prefixes - {prefix}
    assert Staging(bucket, other).counts("draw")["triples.rejected.identical"] == 1


def test_no_realistic_text_is_in_both_parts(run: Run) -> None:
    files = run(size=100)
    numbers = {
        part: {int(n) for row in lines(files, f"trl/{part}.jsonl")
               for n in re.findall(r"builds (\d+) large", row["prompt"][1]["content"])}
        for part in ("train", "held_out")
    }  # fmt: skip
    texts = {part: {(n - 3) // 2 for n in some} for part, some in numbers.items()}
    assert texts["train"]
    assert texts["held_out"]
    assert not texts["train"] & texts["held_out"]


def test_the_same_pairs_are_the_same_version_and_ask_nothing_again(
    run: Run, bucket: Bucket, teacher: ChatServer
) -> None:
    files = run()
    n_requests = len(teacher.requests)
    with pytest.raises(AirflowSkipException, match="of these pairs already"):
        run()
    for item in [*bucket.list("lessons/"), *bucket.list("staging/")]:
        bucket.delete(item.key)
    assert run() == files, "made anew from the answers that were kept, the bytes are the same"
    assert len(teacher.requests) == n_requests


def test_killed_before_the_manifest_nothing_is_visible_and_a_retry_finishes(
    run: Run, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "put_new", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    versions = {item.key.split("/")[1] for item in bucket.list("lessons/")}
    assert not any(is_published(bucket, version, root="lessons") for version in versions)
    files = run()
    assert json.loads(files["manifest.json"])["n_train"] > 0
    assert read_manifest(bucket, json.loads(files["manifest.json"])["version"], root="lessons")


def test_a_teacher_whose_answers_are_mostly_refused_teaches_nothing(run: Run, bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match=r"min_accepted_share=0.95 asks for; refused: .*ungrounded"):
        run(min_accepted_share=0.95, size=100)
    assert not list(bucket.list("lessons/"))


def test_another_teacher_or_seed_is_another_version(run: Run, teacher: ChatServer) -> None:
    versions = {
        json.loads(run(**params)["manifest.json"])["version"]
        for params in ({}, {"seed": 7}, {"teacher": f"{teacher.url}#other"})
    }
    assert len(versions) == 3
    assert all(version.startswith(SECOND) for version in versions)


def test_without_pairs_there_is_nothing_to_teach_with(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "open_bucket", lambda: bucket)
    with pytest.raises(AirflowSkipException, match="no pairs are published"):
        teaching.plan.function(params={name: param.value for name, param in TEACH.items()})


def test_the_plan_refuses_what_makes_no_sense() -> None:
    for name, value in (("size", 0), ("held_out_share", 1.0), ("max_opening_share", 0), ("min_accepted_share", 1.1)):
        with pytest.raises(PermanentError, match=name):
            TeachPlan(inputs="i", code="c", **{name: value})
