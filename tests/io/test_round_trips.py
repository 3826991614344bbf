"""Published formats are read whole: OBELICS and MMC4 as released, WebDataset, HTML bundles of every kind."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.io.bundles import Bundle, FolderBundle
from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.records import Document, ImageNode, Reason, Reject, TextNode

LIMITS = Limits(max_nodes=100, max_document_bytes=1_000_000, max_image_bytes=100_000)


def read_all(raw: bytes | Bundle, max_documents: int = 2) -> list[Document | Reject]:
    opened = io.BytesIO(raw) if isinstance(raw, bytes) else raw
    listing = list_shards(opened, "raw/x", max_documents=max_documents, max_bytes=2**28)
    return [
        found
        for shard in listing.shards
        for found in read_documents(opened, shard, source="s", limits=LIMITS, images=listing.images)
    ]


OBELICS = pa.schema(
    [
        ("images", pa.list_(pa.string())),
        ("metadata", pa.string()),
        ("general_metadata", pa.string()),
        ("texts", pa.list_(pa.string())),
    ]
)


def obelics_row(number: int) -> dict[str, object]:
    """A row with the columns and the JSON of HuggingFaceM4/OBELICS."""
    image = f"https://cdn.example.org/{number}/photo.jpg"
    about = {
        "document_url": f"https://example.org/{number}",
        "unformatted_src": f"/{number}/photo.jpg",
        "src": image,
        "formatted_filename": "photo",
        "alt_text": f"photo {number}",
        "original_width": 640,
        "original_height": 480,
        "format": "jpeg",
    }
    return {
        "images": [None, image, None, f"{image}?size=2"],
        "metadata": json.dumps([None, about, None, {**about, "alt_text": None}]),
        "general_metadata": json.dumps({"url": f"https://example.org/{number}", "warc_filename": "x.warc.gz"}),
        "texts": [f"Title {number}.\n\nFirst of {number}.", None, f"Last of {number}.", None],
    }


@pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd", "none"])
def test_obelics_as_published_is_read_whole(compression: str) -> None:
    rows = [obelics_row(number) for number in range(7)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, OBELICS), sink, row_group_size=3, compression=compression)
    assert pq.read_schema(io.BytesIO(sink.getvalue())).names == ["images", "metadata", "general_metadata", "texts"]
    found = read_all(sink.getvalue())
    assert [item.record for item in found] == [f"#{number}" for number in range(7)]
    for number, document in enumerate(found):
        assert isinstance(document, Document)
        url = f"https://cdn.example.org/{number}/photo.jpg"
        assert (document.source, document.file, document.url) == ("s", "raw/x", f"https://example.org/{number}")
        assert document.nodes == (
            TextNode(f"Title {number}."),
            TextNode(f"First of {number}."),
            ImageNode(url, f"photo {number}", None, Reason.IMAGE_REMOTE, url, url=url),
            TextNode(f"Last of {number}."),
            ImageNode(f"{url}?size=2", "", None, Reason.IMAGE_REMOTE, f"{url}?size=2", url=f"{url}?size=2"),
        )


MMC4 = {
    "image_info": [
        {
            "face_detections": None,
            "image_name": "b.jpg",
            "raw_url": "https://host/b.jpg",
            "matched_text_index": 1,
            "matched_sim": 0.31,
        },
        {"image_name": "a.png", "raw_url": "https://host/a.png", "matched_text_index": 0, "matched_sim": 0.29},
        {"image_name": "c.png", "raw_url": "https://host/c.png", "matched_text_index": 1, "matched_sim": 0.27},
    ],
    "similarity_matrix": [[0.2, 0.31], [0.29, 0.1], [0.1, 0.27]],
    "text_list": ["The first sentence.", "The second sentence."],
    "url": "https://host/page",
    "could_have_url_duplicate": 0,
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_mmc4_as_published_is_read_whole(pack: Callable[[bytes], bytes]) -> None:
    lines = "\n".join(json.dumps({**MMC4, "url": f"https://host/{n}"}) for n in range(5))
    found = read_all(pack(lines.encode()))
    assert [(item.record, item.url) for item in found] == [(f"#{n}", f"https://host/{n}") for n in range(5)]  # type: ignore[union-attr]
    for document in found:
        assert isinstance(document, Document)
        told = [n.text if isinstance(n, TextNode) else (n.url, n.reason) for n in document.nodes]
        assert told == [
            ("https://host/a.png", Reason.IMAGE_REMOTE),
            "The first sentence.",
            ("https://host/b.jpg", Reason.IMAGE_REMOTE),
            ("https://host/c.png", Reason.IMAGE_REMOTE),
            "The second sentence.",
        ]


def tarred(members: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=kind) as bundle:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return sink.getvalue()


def test_webdataset_samples_are_documents_with_the_images_beside_them() -> None:
    samples = {}
    for number in range(3):
        record = {"texts": ["Before.", None, None], "images": [None, "https://h/1.jpg", "https://h/2.jpg"]}
        samples[f"{number:03d}.json"] = json.dumps(record).encode()
        samples[f"{number:03d}.1.jpg"] = b"one of %d" % number
        samples[f"{number:03d}.2.jpg"] = b"two of %d" % number
    found = read_all(tarred(samples))
    assert [document.record for document in found] == ["000.json", "001.json", "002.json"]
    for number, document in enumerate(found):
        assert isinstance(document, Document)
        images = [node.data for node in document.nodes if isinstance(node, ImageNode)]
        assert images == [b"one of %d" % number, b"two of %d" % number]


PAGES = {
    "site/one.html": b"<title>One</title><p>First of one.<img src=img/a.png alt=A><p>Second of one.",
    "site/two.htm": b"<p>Only of two.<img src='../logo.gif'><img src=gone.png>",
    "site/img/a.png": b"picture a",
    "logo.gif": b"picture logo",
    "site/style.css": b"p {}",
    f"site/{'long' * 30}/page.html": b"<p>A long path.",
}
CONTAINERS: dict[str, Callable[[], bytes | Bundle]] = {
    "folder": lambda: FolderBundle({name: (len(d), lambda d=d: io.BytesIO(d)) for name, d in PAGES.items()}),  # type: ignore[misc]
    "zip": lambda: zipped(PAGES),
    "pax tar": lambda: tarred(PAGES),
    "gnu tar": lambda: tarred(PAGES, tarfile.GNU_FORMAT),
    "ustar": lambda: tarred(PAGES, tarfile.USTAR_FORMAT),
    "tar.gz": lambda: gzip.compress(tarred(PAGES), mtime=0),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_pages_are_the_same_documents_whatever_holds_them(container: str) -> None:
    found = read_all(CONTAINERS[container]())
    told = [
        (item.record, [n.text if isinstance(n, TextNode) else n.data or n.reason for n in item.nodes])
        for item in found
        if isinstance(item, Document)
    ]
    assert len(told) == len(found)
    assert told == [
        (f"site/{'long' * 30}/page.html", ["A long path."]),
        ("site/one.html", ["First of one.", b"picture a", "Second of one."]),
        ("site/two.htm", ["Only of two.", b"picture logo", Reason.IMAGE_MISSING]),
    ]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"%PDF-1.7 ...", "PDF is not read"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x28\xb5\x2f\xfd\x04", "zstandard"),
        (b"\xfd7zXZ\0", "xz"),
        (b"Rar!\x1a\x07", "RAR"),
        (b'[{"texts": []}]', "a JSON array"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"Obj\x01", "Avro"),
        (b"\x00\x01\x02\x03rest", r"b'\x00\x01\x02\x03rest'"),
        (b"", "an empty object"),
        (gzip.compress(gzip.compress(b"<p>x", mtime=0), mtime=0), "gzip inside gzip"),
        (gzip.compress(b"PAR1....", mtime=0), "parquet inside gzip"),
    ],
)
def test_an_unknown_format_is_named_and_the_accepted_ones_are_told(data: bytes, named: str) -> None:
    [reject] = read_all(data)
    assert isinstance(reject, Reject)
    assert reject.reason == Reason.UNREADABLE_DOCUMENT
    assert named in reject.detail


def test_a_format_is_found_by_content_and_never_by_name(tmp_path: Path) -> None:
    for name in ("a.parquet", "a.zip", "a"):
        with io.BytesIO(b'{"texts": ["One."], "images": [null]}') as file:
            [shard] = list_shards(file, name, max_documents=1, max_bytes=1).shards
            assert shard.kind == "jsonl"
