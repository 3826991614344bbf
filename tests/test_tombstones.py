"""What a tombstone bars, question by question; and what extraction leaves of documents that fall under one."""

import pytest

from realsyn_ops.records import Document, ImageNode, Reason, TextNode, image_key, sentence_key, url_key
from realsyn_ops.stages.extract import Extraction, extract
from realsyn_ops.tombstones import Tombstone, Tombstones, letters_key
from tests.operators.release_corpus import picture

ABOUT = {"id": "t1", "when": "2026-11-26T10:00:00Z", "by": "anna", "why": "asked by its author"}
URL = "https://www.example.org/a.html"
NODES = (
    TextNode("The heron stands in the harbour. The anvil belongs to Jane Q. Doe."),
    ImageNode("a.jpg", alt="Jane Q. Doe's anvil", data=picture(1), url="https://cdn.example.net/a.jpg"),
    ImageNode("b.jpg", alt="A heron", data=picture(2)),
)
DOCUMENT = Document("site", "raw/2025-02-18/site/a.zip", "a.html", URL, "Jane Q. Doe at work", NODES)


def down(**of: tuple[str, ...]) -> Tombstones:
    return Tombstones([Tombstone(**ABOUT, **of)])


def extracted(tombstones: Tombstones) -> Extraction:
    return extract([DOCUMENT], day="2025-02-18", max_pixels=10**6, down=tombstones, phash=len)


@pytest.mark.parametrize(
    ("domain", "url", "is_down"),
    [
        ("example.org", "https://example.org/x", True),
        ("example.org", "http://WWW.Example.ORG:8080/x?y", True),
        ("example.org", "https://example.org./x", True),
        ("example.org", "https://notexample.org/x", False),
        ("example.org", "https://example.org.evil.net/x", False),
        ("example.org", "https://evil.net/example.org", False),
        ("example.org", "https://example.org@evil.net/", False),
        ("example.org", "https://[broken", False),
        ("example.org", "", False),
    ],
)
def test_a_domain_holds_for_itself_and_what_is_below_it(domain: str, url: str, is_down: bool) -> None:
    assert down(domains=(domain,)).url(url) == ("t1" if is_down else "")


def test_pictures_are_as_near_as_the_tombstone_says() -> None:
    tombstones = down(phashes=("00000000000000f0/2",))
    assert [tombstones.picture(phash) for phash in (0xF0, 0xF3, 0xF7, 0x0F)] == ["t1", "t1", "", ""]


def test_a_sentence_goes_by_its_key_its_letters_or_a_pattern() -> None:
    text = "The anvil, they say, is his."
    assert down(sentences=(sentence_key(text),)).sentence(sentence_key(text), text) == "t1"
    other = "THE ANVIL (they say) is his"
    assert down(letters=(letters_key(text),)).sentence(sentence_key(other), other) == "t1"
    assert down(sentences=(sentence_key(text),)).sentence(sentence_key(other), other) == ""
    assert down(patterns=("an+vil",)).sentence(sentence_key(other), text) == "t1"


def test_a_tombstone_is_read_as_it_was_written_and_joined_with_what_a_later_try_finds() -> None:
    one, other = (
        Tombstone(**ABOUT, images=("i2",)),
        Tombstone(**ABOUT | {"by": "bert"}, images=("i1",), domains=("a.b",)),
    )
    assert Tombstone.from_json(one.to_json()) == one
    assert one.joined(other) == Tombstone(**ABOUT, images=("i1", "i2"), domains=("a.b",))


@pytest.mark.parametrize(
    "of", [{"documents": (DOCUMENT.key,)}, {"urls": (url_key(URL),)}, {"domains": ("example.org",)}]
)
def test_a_document_is_refused_without_a_word_of_its_content(of: dict[str, tuple[str, ...]]) -> None:
    result = extracted(down(**of))
    (reject,) = result.tables["rejects"]
    assert (reject["reason"], reject["document_key"], reject["node"], reject["detail"]) == (
        Reason.TAKEN_DOWN, DOCUMENT.key, -1, "t1",
    )  # fmt: skip
    assert [len(rows) for name, rows in result.tables.items() if name != "rejects"] == [0] * 5
    assert result.counts["documents_rejected"] == 1


@pytest.mark.parametrize(
    "of",
    [
        {"images": (image_key(picture(1)),)},
        {"domains": ("cdn.example.net",)},
        {"urls": (url_key("https://cdn.example.net/a.jpg"),)},
        {"phashes": (f"{len(picture(1)):016x}/0",)},
    ],
)
def test_an_image_is_refused_where_it_stands_and_its_document_stays(of: dict[str, tuple[str, ...]]) -> None:
    result = extracted(down(**of))
    (reject,) = result.tables["rejects"]
    assert (reject["reason"], reject["document_key"], reject["node"]) == (Reason.TAKEN_DOWN, DOCUMENT.key, 1)
    assert [row["key"] for row in result.tables["images"]] == [image_key(picture(2))]
    assert result.tables["documents"][0]["n_images"] == 1


def test_a_pattern_empties_what_is_said_and_sentences_are_counted() -> None:
    result = extracted(down(patterns=("Jane Q[.] Doe",)))
    assert [row["text"] for row in result.tables["sentences"]] == ["The heron stands in the harbour."]
    assert {row["alt"] for row in result.tables["image_nodes"]} == {"", "A heron"}
    assert result.tables["documents"][0]["title"] == ""
    assert result.counts["sentence_nodes_taken_down"] == 1
    assert "Jane" not in repr(result.tables)
