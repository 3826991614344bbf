"""A release of the demo opened by what people train with: each client in the version that its users install."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from rich.console import Console

from realsyn_ops.cli.__main__ import home
from realsyn_ops.cli.peers import peer_python, run_peer
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.schemas import REALSYN
from tests.flow.harness import Demo, train_a_batch_with_open_clip

pytestmark = pytest.mark.timeout(1500)

HANDBOOK = (
    "--input_format", "parquet", "--url_col", "raw_image_url", "--caption_col", "text1", "--output_format",
    "webdataset", "--image_size", "224", "--resize_only_if_bigger=True", "--resize_mode", "keep_ratio",
    "--skip_reencode=True", "--save_additional_columns", '["text2","text3","syn_text"]',
)  # fmt: skip
"""What RealSyn's handbook tells its readers to type."""


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def read_as_the_notebook_does(tars: list[str]) -> list[tuple[Any, str, dict[str, Any]]]:
    """Image, first text and the other texts of every sample, as RealSyn's quick start takes them out of a tar."""
    samples = webdataset.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("jpg;png", "txt", "json")
    names = ("text2", "text3", "syn_text")
    return [(image, text, {name: meta[name] for name in names}) for image, text, meta in samples]


@pytest.fixture(scope="module")
def clients(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    cache = tmp_path_factory.mktemp("datasets")
    arguments = [str(demo.release), str(cache)]
    return run_peer("release_clients", "release_clients_read.py", arguments, home(), Console(quiet=True))


def test_datasets_loads_each_part_of_a_release(demo: Demo, clients: dict[str, Any]) -> None:
    rows = rows_of(demo.release / "pairs")
    assert clients["default"]["columns"] == REALSYN.names
    assert clients["default"]["first"] == {name: rows[0][name] for name in REALSYN.names}
    assert clients["extended"]["columns"] == list(rows[0])
    assert {clients[config]["n_rows"] for config in ("default", "extended", "images")} == {len(rows)}
    assert {"jpg", "txt", "json"} <= set(clients["images"]["columns"])
    assert all(0 < min(size) <= 224 for size in clients["image_sizes"])


def test_mlcroissant_finds_nothing_wrong_and_reads_the_rows(demo: Demo, clients: dict[str, Any]) -> None:
    assert clients["croissant"] == {"errors": [], "warnings": []}
    assert clients["croissant_keys"] == [row["key"] for row in rows_of(demo.release / "pairs")]


def test_sha256sum_takes_the_checksums_and_sees_a_changed_byte(demo: Demo, tmp_path: Path) -> None:
    check = ["sha256sum", "--check", "--quiet", str(demo.release / "SHA256SUMS")]
    assert subprocess.run(check, cwd=demo.release, check=False).returncode == 0
    lines = (demo.release / "SHA256SUMS").read_text()
    data = [path for kind in ("pairs", "realsyn", "tars") for path in (demo.release / kind).iterdir()]
    data.append(demo.release / "selection.parquet")
    listed = {line.split("  ")[1] for line in lines.splitlines()}
    assert listed == {str(path.relative_to(demo.release)) for path in data}
    (tmp_path / "SHA256SUMS").write_text("0" * 64 + lines[64:])
    check[-1] = str(tmp_path / "SHA256SUMS")
    assert subprocess.run(check, cwd=demo.release, check=False, capture_output=True).returncode == 1


def test_both_parquets_hold_the_same_rows_and_say_where_each_text_comes_from(demo: Demo) -> None:
    plain, rows = rows_of(demo.release / "realsyn"), rows_of(demo.release / "pairs")
    assert plain == [{name: row[name] for name in REALSYN.names} for row in rows]
    corpus = Corpus(demo.stack.bucket)
    nodes = corpus.read("sentence_nodes", ["key", "document_key", "node"]).to_pylist()
    documents = {row["key"]: row for row in corpus.read("documents", ["key", "url", "file", "record"]).to_pylist()}
    places = {(n["key"], n["node"], documents[n["document_key"]]["record"]) for n in nodes}
    for row in rows:
        assert row["document_key"] in documents
        assert json.loads(row["models"])["encoder"]
        for rank in (1, 2, 3):
            record = row[f"text{rank}_document_url"].rsplit("/", 1)[-1]
            found = [place for place in places if place[:2] == (row[f"text{rank}_key"], row[f"text{rank}_node"])]
            url = row[f"text{rank}_document_url"]
            assert found
            assert any(place[2].endswith(record) for place in found) or any(d["url"] == url for d in documents.values())


@pytest.fixture
def image_server(demo: Demo) -> Iterator[str]:
    """The release's images as they were in their documents, at /KEY."""
    table = Corpus(demo.stack.bucket).read("images", ["key", "data"])
    images = {f"/{key}": data for key, data in zip(table["key"].to_pylist(), table["data"].to_pylist(), strict=True)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = images.get(self.path, b"")
            self.send_response(200 if data else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_img2dataset_makes_of_the_parquet_tars_that_the_same_readers_take(
    demo: Demo, image_server: str, tmp_path: Path
) -> None:
    rows = rows_of(demo.release / "pairs")
    table = pq.read_table(demo.release / "realsyn")
    urls = pa.array([f"{image_server}/{row['key']}" for row in rows])
    (tmp_path / "realsyn").mkdir()
    pq.write_table(table.set_column(0, "raw_image_url", urls), tmp_path / "realsyn" / "00000.parquet")
    img2dataset = peer_python("img2dataset", home(), Console(quiet=True)).with_name("img2dataset")
    done = subprocess.run(
        [img2dataset, "--url_list", tmp_path / "realsyn", "--output_folder", tmp_path / "images", *HANDBOOK],
        env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tars = sorted(map(str, (tmp_path / "images").glob("*.tar")))
    fetched = {text: (image, more) for image, text, more in read_as_the_notebook_does(tars)}
    ours = read_as_the_notebook_does(sorted(map(str, (demo.release / "tars").glob("*.tar"))))
    assert len(ours) == len(rows)
    assert {text for _, text, _ in ours} == set(fetched)
    for image, text, more in ours:
        assert fetched[text][1]["syn_text"]
        assert min(image.size) <= 224
        assert set(more) == set(fetched[text][1]) == {"text2", "text3", "syn_text"}
    trained = train_a_batch_with_open_clip(tars[0], len(rows))
    assert "(4, 3, 64, 64)" in trained.stdout, trained.stderr[-2000:]
