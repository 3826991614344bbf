"""WARC and WARC.gz as `warcio` writes them: which records are documents, what they say, which images they show."""

import base64
import gzip
import io
import zlib
from collections.abc import Sequence
from typing import Any

import brotli
import pyarrow as pa
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.records import Document, ImageNode, Reason, Reject, TextNode

LIMITS = Limits(max_nodes=100, max_document_bytes=100_000, max_image_bytes=50_000)
HTML = ("Content-Type", "text/html; charset=utf-8")
TEXT = "Grüße, a sentence."
PAGE = f"<p>{TEXT}".encode()
Answer = tuple[str, bytes, Sequence[tuple[str, str]]]


def archive(answers: Sequence[Answer], *, is_gzip: bool = False, status: str = "200 OK") -> bytes:
    """A WARC of a request, its response and its metadata for each (url, body, headers)."""
    sink = io.BytesIO()
    writer = WARCWriter(sink, gzip=is_gzip)
    writer.write_record(writer.create_warcinfo_record("x.warc", {"software": "warcio"}))
    for url, body, headers in answers:
        asked = StatusAndHeaders("GET / HTTP/1.1", [("Host", "host")], is_http_request=True)
        said = StatusAndHeaders(status, list(headers), protocol="HTTP/1.1")
        writer.write_record(writer.create_warc_record(url, "request", http_headers=asked))
        writer.write_record(
            writer.create_warc_record(url, "response", io.BytesIO(body), http_headers=said, length=len(body))
        )
        writer.write_record(
            writer.create_warc_record(
                url, "metadata", io.BytesIO(b"fetchTimeMs: 3"), warc_content_type="application/warc-fields"
            )
        )
    return sink.getvalue()


def read_all(data: bytes, max_documents: int = 2) -> list[Document | Reject]:
    file = io.BytesIO(data)
    listing = list_shards(file, "raw/x", max_documents=max_documents, max_bytes=2**28)
    return [
        found
        for shard in listing.shards
        for found in read_documents(file, shard, source="s", limits=LIMITS, images=listing.images)
    ]


def texts_of(found: list[Document | Reject]) -> list[str]:
    return [
        " ".join(n.text for n in item.nodes if isinstance(n, TextNode)) if isinstance(item, Document) else item.detail
        for item in found
    ]


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def chunked(data: bytes) -> bytes:
    return b"".join(b"%x;name=value\r\n%s\r\n" % (len(p), p) for p in (data[:5], data[5:])) + b"0\r\n\r\n"


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PAGE, []),
        (gzip.compress(PAGE, mtime=0), [("Content-Encoding", "gzip")]),
        (gzip.compress(PAGE[:9], mtime=0) + gzip.compress(PAGE[9:], mtime=0), [("Content-Encoding", "x-gzip")]),
        (zlib.compress(PAGE), [("Content-Encoding", "deflate")]),
        (raw_deflate(PAGE), [("Content-Encoding", "deflate")]),
        (brotli.compress(PAGE), [("Content-Encoding", "br")]),
        (pa.compress(PAGE, "zstd", asbytes=True), [("Content-Encoding", "zstd")]),
        (zlib.compress(gzip.compress(PAGE, mtime=0)), [("Content-Encoding", "gzip, deflate")]),
        (PAGE, [("Content-Encoding", "identity")]),
        (PAGE, [("Content-Encoding", "gzip")]),  # undone by the archive, its header left
        (PAGE, [("Content-Encoding", "br")]),
        (chunked(PAGE), [("Transfer-Encoding", "chunked")]),
        (PAGE, [("Transfer-Encoding", "chunked")]),
        (chunked(gzip.compress(PAGE, mtime=0)), [("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")]),
    ],
)
def test_a_body_is_read_through_its_codings(body: bytes, headers: list[tuple[str, str]], is_gzip: bool) -> None:
    answers = [("http://host/1", body, [HTML, *headers]), ("http://host/2", b"<p>After it.", [HTML])]
    found = read_all(archive(answers, is_gzip=is_gzip))
    assert texts_of(found) == [TEXT, "After it."]
    assert [item.url for item in found if isinstance(item, Document)] == ["http://host/1", "http://host/2"]


@pytest.mark.parametrize(
    ("body", "header", "detail"),
    [
        (PAGE, ("Content-Encoding", "rot13"), "content encoding 'rot13' is not read"),
        (gzip.compress(PAGE, mtime=0)[:-12], ("Content-Encoding", "gzip"), "its gzip is damaged: it ends early"),
        (b"\x8f\xff\x00\x10" * 9, ("Content-Encoding", "br"), "its br is damaged"),
        (b"\x28\xb5\x2f\xfd\xff", ("Content-Encoding", "zstd"), "its zstd is damaged"),
        (b"5\r\n<p>ab\r\nFFFF\r\ncut", ("Transfer-Encoding", "chunked"), "cut in its chunk of 65535 bytes"),
        (b"5\r\n<p>ab\r\nzz\r\n", ("Transfer-Encoding", "chunked"), "its chunks are damaged"),
        (gzip.compress(bytes(10**7), mtime=0), ("Content-Encoding", "gzip"), "more than 100000 bytes"),
        (brotli.compress(bytes(10**7)), ("Content-Encoding", "br"), "more than 100000 bytes"),
        (pa.compress(bytes(10**7), "zstd", asbytes=True), ("Content-Encoding", "zstd"), "more than 100000 bytes"),
        (PAGE, ("Content-Encoding", "gzip, br, gzip, br"), "4 content encodings"),
    ],
)
def test_a_bad_body_costs_its_page_and_never_the_archive(body: bytes, header: tuple[str, str], detail: str) -> None:
    answers = [(f"http://host/{n}", b"<p>Good.", [HTML]) for n in range(3)]
    answers[1] = ("http://host/1", body, [HTML, header])
    found = read_all(archive(answers))
    assert texts_of([found[0], found[2]]) == ["Good.", "Good."]
    assert isinstance(found[1], Reject)
    assert detail in found[1].detail


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("<p>Ж".encode("cp1251"), "text/html; charset=windows-1251", "Ж"),
        ("<meta charset=koi8-r><p>Ж".encode("koi8-r"), "text/html", "Ж"),
        ("<meta charset=koi8-r><p>Ж".encode("cp1251"), 'text/html; charset="windows-1251"', "Ж"),
        ("<p>é".encode(), "text/html", "é"),
        ("<p>é".encode("latin-1"), "text/html", "é"),
        ("<?xml version='1.0'?><html><p>é".encode(), "application/xhtml+xml", "é"),
    ],
)
def test_a_charset_is_the_headers_then_the_pages_then_the_bytes(body: bytes, content_type: str, text: str) -> None:
    found = read_all(archive([("http://host/", body, [("Content-Type", content_type)])]))
    assert texts_of(found) == [text]


def test_what_is_no_page_is_passed_over_and_a_resource_is_one() -> None:
    sink = io.BytesIO()
    writer = WARCWriter(sink, gzip=True)
    for status, kind in (("301 Moved", "text/html"), ("404 Not Found", "text/html"), ("200 OK", "application/pdf")):
        said = StatusAndHeaders(status, [("Content-Type", kind), ("Location", "/2")], protocol="HTTP/1.1")
        writer.write_record(writer.create_warc_record("http://h/1", "response", io.BytesIO(PAGE), http_headers=said))
    said = StatusAndHeaders("200 OK", [HTML], protocol="HTTP/1.1")
    revisit = writer.create_revisit_record("http://h/1", "sha1:A", "http://h/0", "2026-01-01T00:00:00Z", said)
    writer.write_record(revisit)
    dns = writer.create_warc_record("dns:h", "response", io.BytesIO(b"1.2.3.4"), warc_content_type="text/dns")
    writer.write_record(dns)
    for kind in ("text/html; charset=utf-8", "image/png"):
        url = "http://h/a.png" if "image" in kind else "http://h/page"
        body = b"a picture" if "image" in kind else b"<p>A resource.<img src=a.png>"
        writer.write_record(writer.create_warc_record(url, "resource", io.BytesIO(body), warc_content_type=kind))
    [document] = read_all(sink.getvalue())
    assert isinstance(document, Document)
    assert document.nodes == (TextNode("A resource."), ImageNode("a.png", data=b"a picture"))


PIXELS = base64.b64encode(b"inline").decode()


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ("<img src=a.png>", b"/d/a.png"),
        ("<img src=/top.png>", b"/top.png"),
        ("<img src='https://host/d/a.png#part'>", b"/d/a.png"),
        ("<img src='//host/d/a.png'>", b"/d/a.png"),
        ("<img src='a%2Epng'>", "http://host/d/a%2Epng"),
        ("<img src='a b.png'>", b"/d/a%20b.png"),
        ("<base href='/b/'><img src=a.png>", b"/b/a.png"),
        ("<base href='http://other/'><img src=x.png>", b"other/x.png"),
        ("<img src=spacer.gif data-src=a.png>", b"/d/a.png"),
        ("<img src=gone.png srcset='small.png 100w, a.png 900w'>", b"/d/a.png"),
        ("<picture><source srcset='a.png 2x'><img src=gone.png></picture>", b"/d/a.png"),
        ("<img src='q.php?id=1'>", b"/d/q.php?id=1"),
        ("<img src='octets.png'>", b"/d/octets.png"),
        (f"<img src='data:image/png;base64,{PIXELS}'>", b"inline"),
        ("<img src=gone.png>", "http://host/d/gone.png"),
        ("<img src='http://elsewhere/e.png'>", "http://elsewhere/e.png"),
    ],
)
def test_an_image_of_the_same_archive_is_used_and_another_has_its_address(
    tag: str, found: bytes | str, is_gzip: bool
) -> None:
    images = ["http://host/d/a.png", "http://host/top.png", "http://host/d/a%20b.png", "http://host/b/a.png",
              "http://other/x.png", "https://host/d/q.php?id=1", "http://host/d/octets.png"]  # fmt: skip
    answers: list[Answer] = [("http://host/d/page", tag.encode() + b"<p>About it.", [HTML])]
    for url in images:
        body = url.partition("host")[2].encode() or b"other/x.png"
        kind = "application/octet-stream" if "octets" in url else "image/png"
        answers.append((url, gzip.compress(body, mtime=0), [("Content-Type", kind), ("Content-Encoding", "gzip")]))
    [document] = read_all(archive(answers, is_gzip=is_gzip))
    assert isinstance(document, Document)
    [image] = [node for node in document.nodes if isinstance(node, ImageNode)]
    if isinstance(found, bytes):
        assert (image.data, image.reason) == (found, None)
    else:
        assert (image.data, image.reason, image.url) == (None, Reason.IMAGE_REMOTE, found)


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("max_documents", [1, 2, 100])
def test_a_documents_record_is_its_offset_whatever_the_shards(is_gzip: bool, max_documents: int) -> None:
    answers = [(f"http://host/{n}", f"<p>Page {n}.".encode() * 30, [HTML]) for n in range(5)]
    data = archive(answers, is_gzip=is_gzip)
    found = read_all(data, max_documents)
    assert [item.url for item in found if isinstance(item, Document)] == [f"http://host/{n}" for n in range(5)]
    start: Any = b"\x1f\x8b" if is_gzip else b"WARC/1."
    for item in found:
        assert item.record[0] == "@"
        assert data[int(item.record[1:]) :].startswith(start)


def test_a_warc_that_is_one_gzip_member_is_read_like_the_plain_one() -> None:
    data = archive([(f"http://host/{n}", f"<p>Page {n}.".encode(), [HTML]) for n in range(3)])
    assert read_all(gzip.compress(data, mtime=0)) == read_all(data)
    assert len(read_all(data)) == 3
