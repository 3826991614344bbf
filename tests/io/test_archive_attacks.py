"""Attacks on the readers, one row each: what is kept of the object, and what its rejects say. The memory is bounded."""

import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import brotli
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.records import Document, TextNode
from tests.io import hostile_files as make
from tests.io.hostile_files import GOOD, tar_of, warc_record, zipped

LIMITS = Limits(max_nodes=5_000, max_document_bytes=64 * 2**20, max_image_bytes=32 * 2**20)
KEPT = ["A good page."]
LINE = json.dumps({"texts": ["A good page."], "images": [None]}).encode() + b"\n"
LAUGHS = b"<?xml version='1.0'?><!DOCTYPE html [<!ENTITY a 'ha'>%s]><html><body><p>A good page. &u;" % b"".join(
    b"<!ENTITY %c '&%c;&%c;&%c;&%c;'>" % (n + 1, n, n, n, n) for n in range(97, 117)
)
Attack = tuple[str, Callable[[], bytes], list[str], str]
HTML = b"Content-Type: text/html"
CHUNKED = HTML + b"\r\nTransfer-Encoding: chunked"
GZIP, BROTLI = HTML + b"\r\nContent-Encoding: gzip", HTML + b"\r\nContent-Encoding: br"
FLOOD = b"WARC/1.0\r\n" + b"X: y\r\n" * 10**5


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def warc(body: bytes, headers: bytes) -> bytes:
    return warc_record(body, headers) + warc_record(GOOD)


def nodes(n: int) -> bytes:
    return json.dumps({"texts": ["a"] * n, "images": [None] * n}).encode()


def footer_of(length: int) -> bytes:
    data = parquet(texts=pa.array([["x"]]), images=pa.array([[None]], pa.list_(pa.string())))
    return data[:-8] + length.to_bytes(4, "little") + b"PAR1"


def nulls(n: int) -> bytes:
    lists = pa.ListArray.from_arrays(pa.array([0, n], pa.int32()), pa.nulls(n, pa.string()))
    return parquet(texts=lists, images=lists)


def repeated_text(n: int) -> bytes:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array(["x" * 10**6]))
    lists = pa.ListArray.from_arrays(pa.array([0, n], pa.int32()), words)
    return parquet(texts=lists, images=pa.ListArray.from_arrays(pa.array([0, n], pa.int32()), pa.nulls(n, pa.string())))


ATTACKS: list[Attack] = [
    # zip
    ("zip: a path of dots", lambda: zipped({"../../etc/x.html": b"x"}), KEPT, "1 paths that lead out of the bundle"),
    ("zip: Windows' path of dots", lambda: zipped({"..\\..\\x.html": b"x"}), KEPT, "paths that lead out"),
    ("zip: a dot path in disguise", lambda: zipped({"a/../../x.html": b"x"}), KEPT, "paths that lead out"),
    ("zip: an absolute path", lambda: zipped({"/etc/x.html": b"<p>x"}), ["x", *KEPT], ""),
    ("zip: a drive", lambda: zipped({"C:\\x.html": b"<p>x"}), ["x", *KEPT], ""),
    ("zip: dots of full width", lambda: zipped({"．．／x.html": b"<p>x"}), [*KEPT, "x"], ""),
    ("zip: a name that reads backwards", lambda: zipped({"\u202elmth.x.html": b"<p>x"}), [*KEPT, "x"], ""),
    ("zip: a name of 60,000 letters", lambda: zipped({"a" * 60_000 + ".html": b"x"}), KEPT, "names of more than 1024"),
    ("zip: a link", lambda: zipped({"l.html": b"/etc/passwd"}, mode=0o120777), KEPT, "1 links: 'l.html'"),
    ("zip: members that share bytes", lambda: make.zip_of_shared_bytes(500), [], "zip bomb: .* share their bytes"),
    ("zip: Fifield's quoted headers", lambda: make.zip_of_quoted_headers(250), [], "zip bomb: .* share their bytes"),
    ("zip: 15 MB of zeros", lambda: zipped({"b.html": bytes(15_000_000)}), KEPT, "a zip bomb: 15000000 bytes out of"),
    ("zip: no member", lambda: make.directory([], 0, counted=65_535), [], "not a readable zip|no .html"),
    # tar
    ("tar: a path of dots", lambda: tar_of((b"../x.html", b"0", b"x")), KEPT, "paths that lead out of the bundle"),
    ("tar: an absolute path", lambda: tar_of((b"//etc/x.html", b"0", b"<p>x")), ["x", *KEPT], ""),
    ("tar: a null in a name", lambda: tar_of((b"x.html\0.png", b"0", b"<p>x")), [*KEPT, "x"], ""),
    ("tar: a name that is no text", lambda: tar_of((b"\xff\xfe.html", b"0", b"<p>x")), [*KEPT, "x"], ""),
    ("tar: a symbolic link", lambda: make.tar_link(b"2"), KEPT, "1 links, devices and the like: 'link.html'"),
    ("tar: a hard link", lambda: make.tar_link(b"1"), KEPT, "links, devices"),
    ("tar: a device", lambda: make.tar_link(b"3"), KEPT, "links, devices"),
    ("tar: a pipe", lambda: make.tar_link(b"6"), KEPT, "links, devices"),
    ("tar: a name comes twice", lambda: tar_of((b"good.html", b"0", GOOD)), KEPT, "names that come twice"),
    ("tar: a sparse member", lambda: tar_of((b"s.html", b"S", b"x")), KEPT, "'s.html' is sparse"),
    ("tar: a sparse map", lambda: tar_of((b"p", b"x", make.pax(GNU__sparse__major="1"))), KEPT, "a sparse member"),
    ("tar: an extended header of 1 MB", lambda: tar_of((b"p", b"x", bytes(10**6))), KEPT, "header of 1000000 bytes"),
    ("tar: digits without end", lambda: tar_of(*[(b"p", b"x", b"1" * 60_000)] * 50), KEPT, "damaged extended header"),
    ("tar: extended headers in a chain", lambda: tar_of(*[(b"p", b"x", make.pax(path="y"))] * 20_000), KEPT, ""),
    ("tar: a size by an extended header", lambda: tar_of((b"p", b"x", make.pax(size="9" * 30))), KEPT, "a size of"),
    (
        "tar: a size of 2^80",
        lambda: tar_of()[:-1024] + make.tar_header(b"x.html", 0, size_field=b"\x80\0\1" + bytes(9)) + bytes(1024),
        KEPT,
        "'x.html' is cut",
    ),
    # tables
    ("jsonl: brackets without end", lambda: LINE + b"[" * 10**6 + b"\n" + LINE, KEPT * 2, "not JSON"),
    ("jsonl: 20 million lists", lambda: LINE + b'{"texts": [%s' % (b"[]," * 20_000_000), KEPT, "values, limit"),
    ("jsonl: a number of a million digits", lambda: LINE + b'{"texts": %s}' % (b"9" * 10**6), KEPT, "not JSON"),
    ("jsonl: a million nodes", lambda: LINE + nodes(10**6), KEPT, "more than 5000"),
    ("parquet: one text of a megabyte, 300 times", lambda: repeated_text(300), [], "characters of text, limit"),
    ("parquet: a footer of 4 GB", lambda: footer_of(2**32 - 1), [], "not readable as parquet"),
    ("parquet: a footer of none", lambda: footer_of(0), [], "not readable as parquet"),
    # pages
    ("html: billion laughs", lambda: LAUGHS, ["]> A good page. &u;"], ""),
    ("html: a million nested tags", lambda: b"<div>" * 10**6 + b"x", [], "1000000 tags nested|tags, limit"),
    ("html: five million paragraphs", lambda: b"<p>a</p>" * 2_000_000, [], "4000000 tags, limit"),
    ("html: a hundred thousand nodes", lambda: b"<html>" + b"<p>a" * 10**5, [], "more than 5000"),
    ("html: 17 MB", lambda: b"<p>" + b"word " * (17 * 2**18), [], "more than 16777216 bytes"),
    ("html: UTF-7", lambda: b"<meta charset=utf-7><p>+ADw-img src=x+AD4-", ["+ADw-img src=x+AD4-"], ""),
    ("html: UTF-32", lambda: zipped({"x.html": "<p>x".encode("utf-32")}), KEPT, "UTF-32 is not read"),
    # WARC
    ("warc: 100,000 HTTP headers", lambda: warc(b"x", b"X: y\r\n" * 10**5), KEPT, "HTTP headers cannot be read"),
    ("warc: an HTTP header of 1 MB", lambda: warc(b"x", b"X: " + b"y" * 10**6), KEPT, "HTTP headers cannot be read"),
    ("warc: WARC headers without end", lambda: warc_record(GOOD) + FLOOD, KEPT, "damaged in or after"),
    ("warc: a length of 2^60", lambda: warc_record(GOOD) + warc_record(b"x", length=2**60), KEPT, "cut, "),
    ("warc: a body of a million chunks", lambda: warc(b"1\r\na\r\n" * 1_100_000, CHUNKED), KEPT, "1000000 chunks"),
    ("warc: a gzip bomb for a page", lambda: warc(make.gzip_of_zeros(2**29, b"<p>"), GZIP), KEPT, "more than 16777216"),
    ("warc: a brotli bomb for a page", lambda: warc(brotli.compress(bytes(2**26)), BROTLI), KEPT, "more than 16777216"),
    # gzip
    ("gzip: gzip in gzip in gzip", lambda: gzip.compress(gzip.compress(gzip.compress(LINE))), [], "gzip inside gzip"),
    ("gzip: a zip in gzip", lambda: gzip.compress(zipped({})), [], "zip inside gzip"),
    ("gzip: 4 GB of zeros", lambda: make.gzip_of_zeros(4 * 2**30, LINE), [], "a gzip bomb"),
]  # fmt: skip


def read(path: Path, max_documents: int = 200) -> tuple[list[str], list[str]]:
    """Texts of the documents kept and details of the rejects."""
    texts, details = [], []
    with path.open("rb") as file:
        listing = list_shards(file, "x", max_documents=max_documents, max_bytes=2**28)
        for shard in listing.shards:
            for found in read_documents(file, shard, source="s", limits=LIMITS, images=listing.images):
                if isinstance(found, Document):
                    texts.append(" ".join(node.text for node in found.nodes if isinstance(node, TextNode)))
                else:
                    details.append(found.detail)
    return texts, details


@pytest.mark.parametrize(("build", "kept", "detail"), [row[1:] for row in ATTACKS], ids=[row[0] for row in ATTACKS])
def test_an_attack_is_refused_with_its_reason_and_the_rest_kept(
    tmp_path: Path, build: Callable[[], bytes], kept: list[str], detail: str
) -> None:
    (tmp_path / "x").write_bytes(build())
    texts, details = read(tmp_path / "x")
    assert texts == kept
    assert bool(details) == bool(detail)
    assert re.search(detail, "\n".join(details))


# Read in a process of its own each, whose peak memory is what the kernel says of it.
_READ = """
import re, sys
from pathlib import Path
from tests.io.test_archive_attacks import read
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
texts, details = read(Path(sys.argv[1]), 10**6)
print(texts == ["A good page."] * len(texts), len(texts), peak() - before, *details, sep="\\n")
"""
Hostile = tuple[str, Callable[[Path], object], int, str, int]
MB = 2**20


def write(build: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(build())


def sparse(head: bytes, tail: bytes) -> Callable[[Path], object]:
    return partial(make.sparse, head=head, n_zeros=make.BIG, tail=tail)


BIG_WARC = warc_record(GOOD) + warc_record(b"<p>", length=make.BIG + 47)[:-4]
BIG_TAR = make.tar_of()[:-1024] + make.tar_header(b"x.html", make.BIG)
HEAVY: list[Hostile] = [
    ("zip: a page of 2 GB of zeros", write(make.zip_of_zeros), 1, "2147483647 bytes, limit", 60 * MB),
    ("zip: a million members", write(lambda: make.zip_of_many_members(10**6)), 0, "more than 200000 members", 60 * MB),
    ("tar: a page of 2 GB of zeros", sparse(BIG_TAR, bytes(1024)), 1, "2147483648 bytes, limit", 20 * MB),
    ("tar: 210,000 members", write(lambda: make.tar_of_many_members(210_000)), 0, "more than 200000 members", 300 * MB),
    ("jsonl: a line of 2 GB", sparse(LINE + b'{"texts": ["', b"\n" + LINE), 2, "bytes, limit", 400 * MB),
    ("warc: a page of 2 GB", sparse(BIG_WARC, b"\r\n\r\n" + warc_record(GOOD)), 2, "more than 16777216", 150 * MB),
    ("parquet: 100 million nulls in one row", write(lambda: nulls(100_000_000)), 0, "row group 0: ", 1500 * MB),
    ("gzip: 4 GB of zeros", write(lambda: make.gzip_of_zeros(4 * 2**30, LINE)), 0, "a gzip bomb", 60 * MB),
]


@pytest.mark.parametrize(("build", "n_kept", "detail", "max_bytes"), [r[1:] for r in HEAVY], ids=[r[0] for r in HEAVY])
def test_what_is_too_large_for_the_memory_never_comes_into_it(
    tmp_path: Path, build: Callable[[Path], object], n_kept: int, detail: str, max_bytes: int
) -> None:
    build(tmp_path / "x")
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path / "x")], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    is_good, n_texts, n_bytes, *details = done.stdout.splitlines()
    assert (is_good, int(n_texts)) == ("True", n_kept)
    assert re.search(detail, "\n".join(details))
    assert int(n_bytes) < max_bytes
