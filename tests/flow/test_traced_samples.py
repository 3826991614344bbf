"""Provenance on a finished demo: ten random samples of its tars lead to their bytes and words in the raw input.

The raw objects are opened here by other means than the pipeline's readers: `zipfile`, `html.parser`, `pyarrow`. Only
what number a node of a page has is the pipeline's own counting.
"""

import hashlib
import io
import json
import posixpath
import random
import tarfile
import unicodedata
import zipfile
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.html import read_html
from realsyn_ops.io.release_changes import CHANGED_KEYS, CHANGELOG
from realsyn_ops.io.releases import versions
from realsyn_ops.io.storage import Bucket
from realsyn_ops.report.trace import trace
from tests.flow.harness import Demo, run_command, wait_for

N_SAMPLES = 10

pytestmark = pytest.mark.timeout(1500)


class Page(HTMLParser):
    """All that a page says, and the addresses of its pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.pictures = "", []  # type: ignore[var-annotated]
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs).get("src") or "")


def squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).split())


def member(bucket: Bucket, place: dict[str, Any], name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(bucket.get(place["file"]))) as bundle:
        return bundle.read(name)


def row(bucket: Bucket, place: dict[str, Any]) -> dict[str, Any]:
    """The raw row of a table: `#7` is the eighth."""
    table = pq.read_table(io.BytesIO(bucket.get(place["file"])))
    return table.slice(int(place["record"].removeprefix("#")), 1).to_pylist()[0]


def node(html: bytes, place: dict[str, Any]) -> Any:
    return list(read_html(html, charset="", max_nodes=5_000).nodes)[place["node"]]


def raw_image(bucket: Bucket, place: dict[str, Any]) -> bytes:
    if place["file"].endswith(".parquet"):
        return row(bucket, place)["images"][place["node"]]
    html = member(bucket, place, place["record"])
    assert place["src"] in Page(html.decode()).pictures
    assert node(html, place).src == place["src"]
    path = posixpath.join(posixpath.dirname(place["record"]), unquote(place["src"]))
    return member(bucket, place, posixpath.normpath(path))


def raw_text(bucket: Bucket, place: dict[str, Any]) -> str:
    if place["file"].endswith(".parquet"):
        return row(bucket, place)["texts"][place["node"]]
    html = member(bucket, place, place["record"])
    assert squeezed(node(html, place).text) in squeezed(Page(html.decode()).text)
    return node(html, place).text


def random_samples(demo: Demo) -> dict[str, dict[str, bytes]]:
    """Samples by their name, drawn from all tars of the release: `VERSION/00000.tar/KEY` -> extension -> bytes."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted((demo.release / "tars").glob("*.tar")):
        with tarfile.open(path) as tar:
            for one in tar:
                key, _, kind = one.name.partition(".")
                name = f"{demo.release.name}/{path.name}/{key}"
                found.setdefault(name, {})[kind] = tar.extractfile(one).read()  # type: ignore[union-attr]
    return {name: found[name] for name in random.Random(2502).sample(sorted(found), N_SAMPLES)}


def test_ten_random_samples_lead_to_their_bytes_and_words_in_the_raw_input(demo: Demo) -> None:
    bucket = demo.stack.bucket
    corpus = Corpus(bucket)
    opened = set()
    for name, sample in random_samples(demo).items():
        found = json.loads(json.dumps(trace(corpus, name)))
        key = name.rpartition("/")[2]
        fields = json.loads(sample["json"])
        stored = corpus.read("images", ["data"], where=f"key = '{key}'")["data"][0].as_py()
        assert found["image"]["image"]["sha256"] == hashlib.sha256(stored).hexdigest()
        assert found["image"]["n_places"] == len(found["image"]["places"]) > 0
        for place in found["image"]["places"]:
            assert hashlib.sha256(raw_image(bucket, place)).hexdigest() == found["image"]["image"]["sha256"]
            opened.add(place["file"])
        texts = [sample["txt"].decode(), fields["text2"], fields["text3"]]
        assert [text["text"] for text in found["texts"]] == texts
        for text in found["texts"]:
            assert text["n_places"] == len(text["places"]) > 0
            for place in text["places"]:
                assert squeezed(text["text"]) in squeezed(raw_text(bucket, place))
                opened.add(place["file"])
    assert {path.rpartition(".")[2] for path in opened} == {"zip", "parquet"}, "both kinds of raw input were opened"


def test_a_trace_tells_every_step_both_sides_and_what_made_them(demo: Demo) -> None:
    name = next(iter(random_samples(demo)))
    done = run_command(demo.stack.home, "trace", name, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    image = found["image"]
    assert [step["stage"] for step in image["steps"]] == ["curate", "curate", "pair", "release"]
    assert all(step["reason"] is None for step in image["steps"])
    for steps in (image["steps"], *(text["steps"] for text in found["texts"])):
        for step in steps:
            assert len(step["plan"]["digest"]) in {8, 16}
            assert step["scores"]
    for text in found["texts"]:
        assert [step["stage"] for step in text["steps"]] == ["cluster", "cluster"]
        scores = {score["score"]: score for score in text["steps"][0]["scores"]}
        limits = scores["perplexity"]["limits"]
        assert limits["min_perplexity"] <= scores["perplexity"]["value"] <= limits["max_perplexity"]
        assert scores["n_words"]["limits"] == {"min_words": 3, "max_words": 81}
        assert all(text["measured_by"].values())
    assert found["synthetic"]["prompt"].startswith("merge-v")
    assert found["synthetic"]["model"]
    assert found["synthetic"]["syn_origin"] != "rewriter" or found["synthetic"]["answers"]
    assert [release["sample"] for release in image["releases"]][:1] == [name]
    shown = run_command(demo.stack.home, "trace", name.rpartition("/")[2][:16])
    assert shown.returncode == 0, shown.stderr
    assert image["image"]["sha256"] in shown.stdout
    assert name in shown.stdout


def test_what_the_flow_refused_says_where_and_why(demo: Demo) -> None:
    listed = json.loads(run_command(demo.stack.home, "rejects", "--reason", "image_too_small", "--json").stdout)
    assert listed
    found = trace(Corpus(demo.stack.bucket), listed[0]["key"])
    (step,) = [step for step in found["steps"] if step["reason"]]
    assert (step["reason"], step["limit"], step["threshold"]) == ("image_too_small", "min_side_px", 100)
    assert step["value"] == listed[0]["value"] < 100
    assert found["pair"] is None
    assert found["releases"] == []
    assert listed[0]["file"] in {place["file"] for place in found["places"]}


def test_a_second_release_tells_what_it_changed_and_can_be_taken_back(demo: Demo) -> None:
    home, bucket = demo.stack.home, demo.stack.bucket
    first = demo.release.name
    before = set(versions(bucket))
    states = wait_for(
        demo.api, demo.api.trigger("release_dataset", partition_key=None, conf={"seed": 11, "share": 0.5})
    )
    assert states["publish"] == "success"
    (second,) = set(versions(bucket)) - before
    manifest = json.loads(bucket.get(f"releases/{second}/manifest.json"))
    assert manifest["previous"] in before
    assert {CHANGELOG, CHANGED_KEYS, "README.md"} <= {file["path"] for file in manifest["files"]}
    found = json.loads(run_command(home, "release", "diff", first, second, "--json").stdout)
    counts = {kind: sum(n.values()) for kind, n in found["counts"].items()}
    n_first, n_second = demo.report["release"]["n_pairs"], manifest["selection"]["n_selected"]
    assert n_second == n_first - counts["removed"] + counts["added"] < n_first
    assert found["same"] + counts["changed"] + counts["removed"] == n_first
    assert set(found["counts"]["removed"]) <= {"cluster_cap", "similarity_too_low", "similarity_too_high"}
    for version in (first, second):
        verified = run_command(home, "release", "verify", version, "--deep")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert f"release {version} is whole" in verified.stdout
    assert run_command(home, "release", "revoke", second, "--reason", "only a test").returncode == 0
    listed = {one["version"]: one for one in json.loads(run_command(home, "release", "list", "--json").stdout)}
    assert listed[second]["revoked"]["reason"] == "only a test"
    assert listed[first]["revoked"] is None
    assert "REVOKED" in run_command(home, "release", "show", second).stdout
    assert bucket.get(f"releases/{second}/manifest.json") == json.dumps(manifest, sort_keys=True, indent=1).encode()
    again = run_command(home, "release", "revoke", second, "--reason", "once more")
    assert (again.returncode, "only a test" in again.stderr) == (1, True)
