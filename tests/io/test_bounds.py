"""What a shard, an index, an archive and a decoder may hold, each at its limit."""

import gzip
import io
import json
from collections.abc import Callable
from itertools import chain

import pytest

from realsyn_ops.io import documents, raw_shards, warc
from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.io.memory_bound import bounded_memory
from realsyn_ops.records import Document, ImageNode, Reason, Reject
from tests.io.hostile_files import warc_record
from tests.io.test_round_trips import tarred, zipped
from tests.io.test_warc import HTML, archive

LIMITS = Limits(max_nodes=100, max_document_bytes=10_000, max_image_bytes=10_000)
N = 9
PAGES = {f"{n}.html": b"<p>" + b"%d word " % n * 100 for n in range(N)}
LINES = b"\n".join(json.dumps({"texts": [page.decode()], "images": [None]}).encode() for page in PAGES.values())
OBJECTS: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zipped(PAGES),
    "tar": lambda: tarred(PAGES),
    "jsonl": lambda: LINES,
    "jsonl in a zip": lambda: zipped({"t.jsonl": LINES}),
    "warc": lambda: b"".join(map(warc_record, PAGES.values())),
    "warc.gz": lambda: b"".join(gzip.compress(warc_record(page)) for page in PAGES.values()),
}


def read(data: bytes, max_documents: int = 2, max_bytes: int = 10**6) -> list[list[Document | Reject]]:
    """What each shard gives."""
    file = io.BytesIO(data)
    listing = list_shards(file, "x", max_documents=max_documents, max_bytes=max_bytes)
    return [list(read_documents(file, s, source="s", limits=LIMITS, images=listing.images)) for s in listing.shards]


@pytest.mark.parametrize("name", OBJECTS)
def test_a_shard_holds_a_bounded_number_of_documents_and_of_bytes(name: str) -> None:
    size = max(map(len, PAGES.values()))
    by_number = read(OBJECTS[name](), max_documents=2)
    assert [len(shard) for shard in by_number] == [2, 2, 2, 2, 1]
    by_size = read(OBJECTS[name](), max_documents=100, max_bytes=3 * size + 900)
    assert all(1 <= len(shard) <= 5 for shard in by_size)
    one_each = read(OBJECTS[name](), max_documents=100, max_bytes=1)
    assert [len(shard) for shard in one_each] == [1] * N
    assert list(chain(*by_number)) == list(chain(*by_size)) == list(chain(*one_each))


def test_the_images_of_one_shard_share_a_bound_in_which_each_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_SHARD_IMAGE_BYTES", 2_500)
    images = {f"{n}.png": bytes([n]) * 1_000 for n in range(4)}
    pages = {f"{n}.html": b"<img src=0.png><img src=%d.png>" % n for n in range(4)}
    [shard] = read(zipped(pages | images), max_documents=100)
    reasons = [[n.reason for n in d.nodes if isinstance(n, ImageNode)] for d in shard if isinstance(d, Document)]
    assert reasons[:2] == [[None, None], [None, None]]
    assert reasons[3][1] == Reason.IMAGE_TOO_LARGE
    apart = read(zipped(pages | images), max_documents=1)
    assert all(node.reason is None for [document] in apart for node in document.nodes)  # type: ignore[union-attr]


def test_an_index_of_images_has_a_bound_and_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "_MAX_INDEX_BYTES", 60)
    answers = [("http://host/page", b"<p>Text.<img src=/0.png><img src=/9.png>", [HTML])]
    answers += [(f"http://host/{n}.png", b"png", [("Content-Type", "image/png")]) for n in range(10)]
    [[document], [reject]] = read(archive(answers))
    assert isinstance(document, Document)
    assert [n.data for n in document.nodes if isinstance(n, ImageNode)] == [b"png", None]
    assert isinstance(reject, Reject)
    assert "images beyond the 60 bytes of an index" in reject.detail


def test_an_archive_has_a_bound_of_records_and_of_damages(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(OBJECTS["warc.gz"]())
    starts = [int(item.record[1:]) for shard in read(bytes(data)) for item in shard]
    monkeypatch.setattr(warc, "MAX_RECORDS", 4)
    *kept, [reject] = read(bytes(data))
    assert sum(map(len, kept)) == 4
    assert isinstance(reject, Reject)
    assert f"more than 4 records; the rest from byte {starts[4]} is not read" in reject.detail
    monkeypatch.undo()
    monkeypatch.setattr(warc, "_MAX_DAMAGES", 2)
    for start in starts[1::2]:
        data[start + 40 : start + 60] = bytes(20)
    details = [item.detail for shard in read(bytes(data)) for item in shard if isinstance(item, Reject)]
    assert len(details) == 3
    assert "damaged in more than 2 places" in details[-1]


def test_a_table_has_a_bound_of_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_shards, "_MAX_SHARDS", 3)
    *kept, [reject] = read(LINES, max_documents=2)
    assert sum(map(len, kept)) == 6
    assert isinstance(reject, Reject)
    assert "more than 3 shards; the rest from row 6 on is not read" in reject.detail


def test_memory_past_its_bound_is_refused_and_afterwards_there_again() -> None:
    with bounded_memory(2**27), pytest.raises(MemoryError):
        bytearray(2**29)
    assert len(bytearray(2**29)) == 2**29
