"""Documents into rows: keys, places, counts, the split into sentences, and the decoding of images."""

import io
import random

import pyarrow as pa
import pytest
from PIL import Image

from realsyn_ops.image_codec import ImageInfo, decode_image, read_image
from realsyn_ops.io import schemas
from realsyn_ops.records import (
    Document,
    ImageNode,
    Node,
    Reason,
    Reject,
    TextNode,
    image_key,
    sentence_key,
)
from realsyn_ops.stages.extract import extract, split_sentences

DAY = "2026-01-01"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))


def document(record: str, *nodes: Node) -> Document:
    return Document("manuals", "raw/d/manuals/b.zip", record, "", "Title", nodes)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "Dr. Smith moved to Washington D.C. in May. He likes it.",
            ["Dr. Smith moved to Washington D.C. in May.", "He likes it."],
        ),
        ("Take it, e.g. by train.  Then\n go on!", ["Take it, e.g. by train.", "Then go on!"]),
        ("No end", ["No end"]),
        ("  \n ", []),
        ("Is it? (It is.) Go on.", ["Is it?", "(It is.)", "Go on."]),
    ],
)
def test_sentences_end_where_punkt_says(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_a_text_without_end_loses_no_word() -> None:
    text = " ".join(f"word{n}." if n % 7 == 0 else f"word{n}" for n in range(20_000))
    assert " ".join(split_sentences(text)) == text
    assert "".join(split_sentences("x" * 100_000)) == "x" * 100_000


def test_images_and_sentences_are_unique_by_key_and_their_places_are_counted() -> None:
    png = encoded(noise(20, 10), "PNG")
    one = document("1", TextNode("A cat. A dog."), ImageNode("a.png", "alt a", png), TextNode("A cat."))
    two = document("2", ImageNode("b.png", "alt b", png), TextNode("A dog."))
    result = extract([one, two], day=DAY, max_pixels=10_000)
    key = image_key(png)
    [image] = result.tables["images"]
    assert image == {
        "key": key, "day": DAY, "data": png, "format": "PNG", "width": 20, "height": 10, "n_nodes": 2,
    }  # fmt: skip
    places = {
        (row["key"], row["document_key"], row["node"], row["src"], row["alt"]) for row in result.tables["image_nodes"]
    }
    assert places == {(key, one.key, 1, "a.png", "alt a"), (key, two.key, 0, "b.png", "alt b")}
    assert {row["text"]: row["n_nodes"] for row in result.tables["sentences"]} == {"A cat.": 2, "A dog.": 2}
    dogs = [row for row in result.tables["sentence_nodes"] if row["key"] == sentence_key("A dog.")]
    assert {(row["document_key"], row["node"], row["position"]) for row in dogs} == {(one.key, 0, 1), (two.key, 1, 0)}
    counted = {row["record"]: (row["n_images"], row["n_sentences"]) for row in result.tables["documents"]}
    assert counted == {"1": (1, 3), "2": (1, 1)}


def test_every_table_fits_its_schema_and_is_sorted_whatever_the_order_of_documents() -> None:
    png = encoded(noise(9, 9), "PNG")
    documents: list[Document | Reject] = [
        document(
            str(n), TextNode(f"Sentence {n}. The same."), ImageNode("a.png", "", png), ImageNode("b.gif", "", b"GIF89a")
        )
        for n in range(5)
    ]
    documents.append(Reject("extract", Reason.EMPTY_DOCUMENT, "manuals", "f", "9", "", -1, "nothing"))
    forth, back = (extract(order, day=DAY, max_pixels=100) for order in (documents, documents[::-1]))
    assert forth == back
    for name, rows in forth.tables.items():
        table = pa.Table.from_pylist(rows, schema=getattr(schemas, name.upper()))
        assert table.num_rows == len(rows) > 0
        assert sorted(rows, key=lambda row: row["key"]) == rows
    for name in ("documents", "images", "sentences", "rejects"):
        keys = [row["key"] for row in forth.tables[name]]
        assert len(set(keys)) == len(keys)


def test_in_is_kept_plus_rejected_for_documents_and_image_nodes() -> None:
    png = encoded(noise(9, 9), "PNG")
    nodes = (
        ImageNode("a", "", png),
        ImageNode("b", "", None, Reason.IMAGE_REMOTE, "http://host"),
        ImageNode("c", "", b"plain"),
        ImageNode("d", "", b"plain"),
    )
    twice = document("1", *nodes)
    refused = Reject("extract", Reason.TOO_MANY_NODES, "manuals", "f", "2", "", -1, "")
    result = extract([twice, refused, twice], day=DAY, max_pixels=100)
    assert result.counts == {
        "documents_in": 3, "documents_kept": 1, "documents_rejected": 2, "image_nodes_in": 4, "image_nodes_kept": 1,
        "image_nodes_rejected": 3, "images": 1, "sentence_nodes": 0, "sentence_nodes_taken_down": 0,
        "sentences": 0,
    }  # fmt: skip
    assert result.rejects == {"identical": 1, "image_format": 2, "image_remote": 1, "too_many_nodes": 1}
    [remote] = [row for row in result.tables["rejects"] if row["reason"] == "image_remote"]
    assert (remote["document_key"], remote["node"], remote["detail"]) == (twice.key, 1, "http://host")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_four_formats_are_read(kind: str) -> None:
    assert read_image(encoded(noise(30, 20), kind), max_pixels=600) == ImageInfo(kind, 30, 20)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM"])
def test_other_formats_are_refused_by_their_first_bytes(kind: str) -> None:
    assert read_image(encoded(noise(32, 32), kind), max_pixels=10_000)[0] == Reason.IMAGE_FORMAT  # type: ignore[index]


def test_pixels_are_limited_to_the_last_one() -> None:
    data = encoded(noise(30, 20), "PNG")
    assert read_image(data, max_pixels=600) == ImageInfo("PNG", 30, 20)
    assert read_image(data, max_pixels=599)[0] == Reason.IMAGE_TOO_MANY_PIXELS  # type: ignore[index]
    assert read_image(data, max_pixels=100)[0] == Reason.IMAGE_TOO_MANY_PIXELS  # type: ignore[index]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_image_is_broken(kind: str) -> None:
    data = encoded(noise(64, 64), kind)
    assert read_image(data[: len(data) // 2], max_pixels=10_000)[0] == Reason.IMAGE_BROKEN  # type: ignore[index]


def test_the_detail_of_a_broken_image_is_the_same_every_time() -> None:
    cut = encoded(noise(64, 64), "PNG")[:-200]
    details = [read_image(cut, max_pixels=10_000) for _ in range(3)]
    assert details == [(Reason.IMAGE_BROKEN, "OSError: image file is truncated")] * 3
    assert "at 0x" not in str(read_image(b"\xff\xd8\xff\xd9", max_pixels=10))


def test_pillows_own_limit_is_as_it_was_after_reading() -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_image(encoded(noise(30, 20), "PNG"), max_pixels=10)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("image", "kind", "options", "pixel"),
    [
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG", {}, (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG", {}, (127, 127, 127)),
        (Image.new("LA", (4, 4), (0, 0)), "PNG", {}, (255, 255, 255)),
        (Image.new("P", (4, 4), 0), "PNG", {"transparency": 0}, (255, 255, 255)),
        (Image.new("I;16", (4, 4), 0x8000), "PNG", {}, (128, 128, 128)),
        (Image.new("1", (4, 4), 1), "PNG", {}, (255, 255, 255)),
        (Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG", {}, (0, 0, 0)),
        (Image.new("L", (4, 4), 77), "JPEG", {}, (77, 77, 77)),
        (
            Image.new("RGB", (4, 4), (0, 255, 0)),
            "GIF",
            {"save_all": True, "append_images": [Image.new("RGB", (4, 4))]},
            (0, 255, 0),
        ),
    ],
)
def test_any_mode_becomes_rgb_on_white(
    image: Image.Image, kind: str, options: dict[str, object], pixel: object
) -> None:
    decoded = decode_image(encoded(image, kind, **options))
    assert decoded.mode == "RGB"
    assert decoded.size == (4, 4)
    assert decoded.getpixel((1, 1)) == pixel


@pytest.mark.parametrize(
    ("orientation", "red_corner"),
    [(1, (0, 0)), (2, (19, 0)), (3, (19, 9)), (4, (0, 9)), (5, (0, 0)), (6, (9, 0)), (7, (9, 19)), (8, (0, 19))],
)
def test_an_image_is_turned_as_its_exif_says(orientation: int, red_corner: tuple[int, int]) -> None:
    image = Image.new("RGB", (20, 10))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encoded(image, "PNG", exif=exif.tobytes()))
    assert decoded.getpixel(red_corner) == (255, 0, 0)


def test_an_image_is_reduced_to_its_longer_side_and_never_enlarged() -> None:
    data = encoded(noise(400, 200), "JPEG")
    assert decode_image(data, max_side=100).size == (100, 50)
    assert decode_image(data, max_side=1_000).size == (400, 200)
    assert decode_image(data).size == (400, 200)
