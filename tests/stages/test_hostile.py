"""Hostile input is normal input: each ends as rejects with reasons, and the rest of the object comes through."""

import io
import json
import random
import struct
import time
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.image_codec import ImageInfo, read_image
from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.io.html import read_html
from realsyn_ops.records import Document, Reason, Reject, fold_space
from realsyn_ops.stages.extract import Extraction, extract, split_sentences

LIMITS = Limits(max_nodes=5_000, max_document_bytes=2_000_000, max_image_bytes=500_000)
GOOD = "<p>A good page has a sentence.</p>"


def photo(kind: str = "JPEG") -> bytes:
    sink = io.BytesIO()
    Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(64 * 64 * 3)).save(sink, kind)
    return sink.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A well-formed PNG of any size in a few bytes: header, one row of data, end."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def run(path: Path, data: bytes | None = None) -> Extraction:
    if data is not None:
        path.write_bytes(data)
    file = io.BytesIO(path.read_bytes())
    shards = list_shards(file, path.name, max_documents=50, max_bytes=2**28).shards
    found = [item for shard in shards for item in read_documents(file, shard, source="s", limits=LIMITS)]
    result = extract(found, day="2026-01-01", max_pixels=100_000_000)
    counts = result.counts
    assert counts["documents_in"] == counts["documents_kept"] + counts["documents_rejected"]
    assert counts["image_nodes_in"] == counts["image_nodes_kept"] + counts["image_nodes_rejected"]
    assert sum(result.rejects.values()) == len(result.tables["rejects"])
    return result


def bundle(path: Path, members: dict[str, bytes | str]) -> Extraction:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as sink:
        for name, data in ({"good.html": GOOD} | members).items():
            sink.writestr(name, data)
    result = run(path)
    assert "A good page has a sentence." in [row["text"] for row in result.tables["sentences"]]
    return result


@pytest.mark.parametrize(
    ("page", "rejects"),
    [
        ("<<<p><b>broken <i", {}),
        ("<p>nulls\0 \0inside</p>" + "x" * 200, {}),
        ("", {Reason.EMPTY_DOCUMENT: 1}),
        ("<html><body> <p> </p></body></html>", {Reason.EMPTY_DOCUMENT: 1}),
        ("<img src=gone.png>" * 10_000, {Reason.TOO_MANY_NODES: 1}),
        ("<div>" * 100_000 + "deep" + "</div>" * 100_000, {Reason.UNREADABLE_DOCUMENT: 1}),
        ("<p>" + "".join(f"<font size={n}>" for n in range(3_000)) + "<p>x" * 3_000, {Reason.UNREADABLE_DOCUMENT: 1}),
        ("<p " + " ".join(f"a{n}=1" for n in range(50_000)) + ">x", {Reason.UNREADABLE_DOCUMENT: 1}),
        (photo("PNG"), {Reason.UNREADABLE_DOCUMENT: 1}),
        ("<p>" + "long " * 500_000, {Reason.DOCUMENT_TOO_LARGE: 1}),
        ("<img src='../../etc/passwd'>", {Reason.IMAGE_OUTSIDE_BUNDLE: 1}),
        ("<img src='file:///etc/passwd'><img src='http://169.254.169.254/latest'>", {
            Reason.IMAGE_OUTSIDE_BUNDLE: 1, Reason.IMAGE_REMOTE: 1,
        }),
        ("<img src='data:image/png;base64,!!!'><img src='data:,'>", {Reason.IMAGE_FORMAT: 2}),
        ("<img src='bad.html'>", {Reason.IMAGE_FORMAT: 1}),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, (str, bytes)) else None,
)  # fmt: skip
def test_a_bad_page_is_rejected_and_the_good_one_comes_through(
    tmp_path: Path, page: str | bytes, rejects: dict[Reason, int]
) -> None:
    started = time.monotonic()
    assert bundle(tmp_path / "b.zip", {"bad.html": page}).rejects == rejects
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (photo()[:1_000], Reason.IMAGE_BROKEN),
        (png_of(50_000, 40_000), Reason.IMAGE_TOO_MANY_PIXELS),
        (png_of(12_000, 10_000), Reason.IMAGE_TOO_MANY_PIXELS),
        (png_of(100, 100), Reason.IMAGE_BROKEN),
        (png_of(0, 10), Reason.IMAGE_BROKEN),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.IMAGE_FORMAT),
        (b"%!PS-Adobe-3.0 EPSF-3.0", Reason.IMAGE_FORMAT),
        (b"", Reason.IMAGE_FORMAT),
        (bytes(600_000), Reason.IMAGE_TOO_LARGE),
    ],
)
def test_a_bad_image_is_rejected_and_its_page_kept(tmp_path: Path, data: bytes, reason: Reason) -> None:
    members = {"p.html": "<p>About it.</p><img src=bad.jpg><img src=fine.jpg>", "bad.jpg": data, "fine.jpg": photo()}
    result = bundle(tmp_path / "b.zip", members)
    assert result.rejects == {reason: 1}
    assert result.counts["image_nodes_kept"] == 1


def test_a_page_with_images_and_no_text_and_one_with_text_and_no_images_are_fine(tmp_path: Path) -> None:
    result = bundle(tmp_path / "b.zip", {"p.html": "<img src=a.jpg>", "a.jpg": photo()})
    assert result.rejects == {}
    assert {(row["n_images"], row["n_sentences"]) for row in result.tables["documents"]} == {(1, 0), (0, 1)}


def test_a_zip_bomb_is_not_inflated_even_when_its_header_lies(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as sink:
        sink.writestr("bomb.html", bytes(200_000_000))
        sink.writestr("p.html", GOOD + "<img src=bomb.html>")
        sink.writestr("t.jsonl", b" " * 50_000_000)
    honest = run(path)
    expected = {Reason.DOCUMENT_TOO_LARGE: 1, Reason.UNREADABLE_DOCUMENT: 1, Reason.IMAGE_TOO_LARGE: 1}
    assert honest.rejects == expected
    lying = path.read_bytes().replace(struct.pack("<I", 200_000_000), struct.pack("<I", 1_000))
    result = run(tmp_path / "lying.zip", lying)
    assert result.rejects == {Reason.UNREADABLE_DOCUMENT: 2, Reason.IMAGE_BROKEN: 1}
    assert result.counts["documents_kept"] == 1


def test_an_encrypted_page_and_an_encrypted_image_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as sink:
        sink.writestr("bad.html", "x")
        sink.writestr("p.html", GOOD + "<img src=bad.html>")
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    result = run(path, bytes(data))
    assert result.rejects == {Reason.UNREADABLE_DOCUMENT: 1, Reason.IMAGE_BROKEN: 1}
    assert {row["detail"] for row in result.tables["rejects"]} == {"encrypted"}


def test_a_member_with_a_wrong_checksum_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as sink:
        sink.writestr("bad.html", "<p>The original text.</p>")
        sink.writestr("good.html", GOOD)
    result = run(path, path.read_bytes().replace(b"original", b"modified"))
    assert result.rejects == {Reason.UNREADABLE_DOCUMENT: 1}
    assert result.counts["documents_kept"] == 1


def test_a_compression_that_cannot_be_bounded_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as sink:
        sink.writestr("bad.html", GOOD)
    assert run(path).rejects == {Reason.UNREADABLE_DOCUMENT: 1}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("notes.txt", b"text"),
        ("no-extension", b""),
        ("photo.zip", photo()),
        ("empty.zip", b""),
        ("empty.jsonl", b""),
        ("photo.parquet", photo()),
        ("half.zip", b"PK\x03\x04" + bytes(60)),
        ("photo.jsonl", b"\x89PNG\0\0\0 no json in one line"),
    ],
)
def test_an_object_that_is_not_what_its_name_says_is_one_reject(tmp_path: Path, name: str, data: bytes) -> None:
    result = run(tmp_path / name, data)
    assert result.rejects == {Reason.UNREADABLE_DOCUMENT: 1}
    [reject] = result.tables["rejects"]
    assert (reject["file"], bool(reject["detail"])) == (name, True)


def test_a_zip_without_documents_is_one_reject(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as sink:
        sink.writestr("style.css", "")
    assert run(tmp_path / "b.zip").rejects == {Reason.UNREADABLE_DOCUMENT: 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"texts": ["cut', Reason.UNREADABLE_DOCUMENT),
        ("[1, 2]", Reason.UNREADABLE_DOCUMENT),
        ("[" * 100_000, Reason.UNREADABLE_DOCUMENT),
        ('{"texts": ["a", "b"], "images": [null]}', Reason.UNREADABLE_DOCUMENT),
        ('{"texts": ["a"], "images": ["b.png"]}', Reason.UNREADABLE_DOCUMENT),
        ('{"texts": [1], "images": [null]}', Reason.UNREADABLE_DOCUMENT),
        ('{"texts": "a", "images": null}', Reason.UNREADABLE_DOCUMENT),
        ('{"texts": [], "images": []}', Reason.EMPTY_DOCUMENT),
        ('{"texts": [null], "images": ["../x.png"]}', Reason.IMAGE_OUTSIDE_BUNDLE),
        ('{"texts": [null], "images": ["http://10.0.0.1/x.png"]}', Reason.IMAGE_REMOTE),
        ('{"texts": ["' + "a" * 2_000_000 + '"], "images": [null]}', Reason.DOCUMENT_TOO_LARGE),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_line_is_rejected_and_reading_goes_on(tmp_path: Path, line: str, reason: Reason) -> None:
    good = [json.dumps({"texts": [f"Line {n} is good."], "images": [None]}) for n in range(2)]
    result = run(tmp_path / "t.jsonl", "\n".join([good[0], line, good[1]]).encode())
    assert result.rejects == {reason: 1}
    assert {row["text"] for row in result.tables["sentences"]} == {"Line 0 is good.", "Line 1 is good."}


def test_lone_surrogates_and_null_bytes_in_a_text_do_no_harm(tmp_path: Path) -> None:
    result = run(tmp_path / "t.jsonl", b'{"texts": ["A \\ud800 and \\u0000 are\\u0000 odd."], "images": [null]}')
    assert [row["text"] for row in result.tables["sentences"]] == ["A and are odd."]


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"text": ["a"], "image": [b"b"]}),
        pa.table({"texts": [["a"]]}),
    ],
)
def test_a_parquet_with_other_columns_is_one_reject_that_names_them(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    [reject] = run(tmp_path / "t.parquet").tables["rejects"]
    assert (reject["reason"], "images" in reject["detail"]) == (Reason.UNREADABLE_DOCUMENT, True)


def test_bad_parquet_rows_are_rejected_one_by_one(tmp_path: Path) -> None:
    rows = [
        {"texts": ["A good row."], "images": [None]},
        {"texts": ["a", "b"], "images": [None]},
        {"texts": None, "images": None},
        {"texts": [None, None], "images": [b"no image", photo()]},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    result = run(tmp_path / "t.parquet")
    assert result.rejects == {Reason.UNREADABLE_DOCUMENT: 2, Reason.IMAGE_FORMAT: 1}
    assert result.counts["documents_kept"] == 2


def test_a_text_that_is_no_utf_8_costs_its_row_only(tmp_path: Path) -> None:
    bad = pa.array([b"A good row.", b"\xff\xfe", b"Another one."]).cast(pa.binary())
    texts = pa.ListArray.from_arrays([0, 1, 2, 3], bad.view(pa.string()))
    pq.write_table(
        pa.table({"texts": texts, "images": pa.array([[None]] * 3, pa.list_(pa.binary()))}), tmp_path / "t.parquet"
    )
    result = run(tmp_path / "t.parquet")
    assert result.rejects == {Reason.UNREADABLE_DOCUMENT: 1}
    assert {row["text"] for row in result.tables["sentences"]} == {"A good row.", "Another one."}


def test_a_parquet_cut_or_overwritten_anywhere_never_raises(tmp_path: Path) -> None:
    rows = [{"texts": ["A row.", None], "images": [None, photo()]}] * 20
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "good.parquet", row_group_size=5)
    good = (tmp_path / "good.parquet").read_bytes()
    draw = random.Random(0)
    seen: Counter[str] = Counter()
    for _ in range(40):
        data = bytearray(good)
        place = draw.randrange(len(data))
        data[place : place + 8] = draw.randbytes(8)
        result = run(tmp_path / "bad.parquet", bytes(data if draw.random() < 0.7 else data[:place]))
        seen.update(result.rejects)
    assert seen[Reason.UNREADABLE_DOCUMENT] >= 10


FUZZ = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
MARKUP = st.lists(
    st.sampled_from(
        b"<p> </p> <b> <table> <td> <svg> <math> <template> <select> <a> <br> <img/src=a.png> <img/src='data:,x'> <!-- "
        b"--> <![CDATA[ </ \0 \xff\xfe \xef\xbb\xbf <meta/charset=utf-7> text. <noscript> <frameset> <body/hidden>"
        b" <html>".split()
    )
    | st.binary(max_size=20)
).map(b"".join)


@FUZZ
@given(st.binary(max_size=500) | MARKUP)
def test_any_bytes_as_a_page_give_nodes_or_a_reason(data: bytes) -> None:
    try:
        page = read_html(data)
        title, nodes = page.title, page.nodes
    except BadDocumentError as error:
        assert str(error)
        return
    for node in nodes:
        assert node
        title += str(node)
    title.encode()


@FUZZ
@given(st.binary(max_size=300), st.sampled_from(["zip", "jsonl", "parquet"]))
def test_any_bytes_as_an_object_give_documents_or_rejects(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    magic = {"zip": b"PK\x03\x04", "jsonl": b"", "parquet": b"PAR1"}[kind]
    result = run(tmp_path_factory.mktemp("fuzz") / f"x.{kind}", magic + data + magic)
    assert result.counts["documents_in"] == len(result.tables["documents"]) + len(result.tables["rejects"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@FUZZ
@given(st.dictionaries(st.sampled_from(["texts", "images", "metadata", "general_metadata", "url", "title"]), JSON))
def test_any_object_on_a_line_gives_a_document_or_a_reject(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, object]
) -> None:
    result = run(tmp_path_factory.mktemp("fuzz") / "x.jsonl", json.dumps(record).encode())
    assert result.counts["documents_in"] == 1


@FUZZ
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP"]),
    st.binary(max_size=200),
    st.integers(0, 2_000),
    st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]),
)
def test_any_bytes_as_an_image_give_its_size_or_a_reason(magic: bytes, noise: bytes, place: int, kind: str) -> None:
    whole = bytearray(photo(kind))
    whole[place : place + len(noise)] = noise
    for data in (magic + noise, bytes(whole)):
        found = read_image(data, max_pixels=10_000)
        if not isinstance(found, ImageInfo):
            assert found[0] in {Reason.IMAGE_FORMAT, Reason.IMAGE_BROKEN, Reason.IMAGE_TOO_MANY_PIXELS}


@FUZZ
@given(st.text(max_size=200) | st.text("ab .!?\"'()…", max_size=400))
def test_any_text_splits_into_sentences_that_hold_its_words(text: str) -> None:
    assert "".join(split_sentences(text)).replace(" ", "") == fold_space(text).replace(" ", "")


@pytest.mark.parametrize("unit", ["a. ", "!? ", '." ', "... ", "1. ", "A. B ", "x", ".", "e.g. "])
def test_a_text_made_to_be_slow_splits_in_time(unit: str) -> None:
    started = time.monotonic()
    split_sentences(unit * (60_000 // len(unit)))
    assert time.monotonic() - started < 15


def test_a_reject_and_a_document_are_all_a_reader_gives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as sink:
        sink.writestr("a.html", "")
        sink.writestr("b.html", GOOD)
    file = io.BytesIO((tmp_path / "b.zip").read_bytes())
    [shard] = list_shards(file, "b.zip", max_documents=5, max_bytes=2**28).shards
    kinds = [type(found) for found in read_documents(file, shard, source="s", limits=LIMITS)]
    assert kinds == [Reject, Document]
