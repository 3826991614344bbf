"""What every fuzzer of the readers does: bytes in, and the promises that hold for whatever comes out.

An input's first byte chooses its wrapping, so that checksums and compression do not keep the fuzzer out.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.records import Document, ImageNode, Reject

LIMITS = Limits(max_nodes=500, max_document_bytes=200_000, max_image_bytes=50_000)
PAGE = b"<html><head><title>T</title><base href=/b/><p>A text.<img src=a.png srcset='c.png 2x' alt=A><p>More of it."
RECORD = {
    "texts": ["A text.", None],
    "images": [None, "http://host/a.png"],
    "metadata": json.dumps([None, {"src": "http://host/a.png", "alt_text": "A"}]),
    "general_metadata": json.dumps({"url": "http://host/page"}),
}
MMC4 = {"url": "http://host/", "text_list": ["One.", "Two."], "image_info": [
    {"raw_url": "http://host/a.png", "image_name": "a.png", "matched_text_index": 1},
]}  # fmt: skip


def read_all(data: bytes) -> list[Document | Reject]:
    """Everything that a raw object gives; AssertionError where a promise is broken."""
    file = io.BytesIO(data)
    listing = list_shards(file, "x", max_documents=3, max_bytes=100_000)
    assert listing.shards
    found: list[Document | Reject] = []
    for shard in listing.shards[:50]:
        of_shard = list(read_documents(file, shard, source="s", limits=LIMITS, images=listing.images))
        assert of_shard or shard.kind == "jsonl"  # a range of blank lines holds nothing
        assert len(of_shard) <= 4  # three documents, and one reject for what ends them
        found += of_shard
    for item in found:
        if isinstance(item, Document):
            assert item.key
            assert 0 < len(item.nodes) <= LIMITS.max_nodes
            for node in item.nodes:
                assert not isinstance(node, ImageNode) or (node.data is None) == (node.reason is not None)
        else:
            assert item.detail and len(item.detail) <= 500
            item.detail.encode()
        item.record.encode()
    return found


def wrapped(data: bytes) -> bytes:
    """The object that an input stands for."""
    return WRAPPINGS[data[0] % len(WRAPPINGS)](data[1:]) if data else data


def _zip(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("p.html", data)
        bundle.writestr("t.jsonl", data)
        bundle.writestr("t.parquet", data)
    return sink.getvalue()


def _tar(data: bytes) -> bytes:
    """Blocks of 512 bytes whose every plausible header gets the checksum that it needs."""
    blocks = bytearray(data + bytes(-len(data) % 512))
    for place in range(0, len(blocks), 512):
        header = blocks[place : place + 148] + b" " * 8 + blocks[place + 156 : place + 512]
        blocks[place + 148 : place + 156] = b"%06o\0 " % sum(header)
    return bytes(blocks) + bytes(1024)


def _sample(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as bundle:
        for name in ("a.json", "a.0.png", "b.html"):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def _warc_of(headers: bytes, body: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n" + body
    record = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://host/p\r\n"
        b"Content-Type: application/http; msgtype=response\r\n"
        b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(block), block)
    )
    return record + record


def _warc(data: bytes) -> bytes:
    headers, _, body = data.partition(b"\n\n")
    return _warc_of(headers, body)


def _deflated(data: bytes) -> bytes:
    return _warc_of(b"Content-Type: text/html\r\nContent-Encoding: deflate", zlib.compress(data))


WRAPPINGS: list[Callable[[bytes], bytes]] = [bytes, bytes, _zip, _tar, _sample, _warc, _deflated, gzip.compress]


def seeds() -> dict[str, bytes]:
    """A small valid file of each format."""
    line = json.dumps(RECORD).encode()
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([RECORD] * 4), table, row_group_size=2)
    archives = {}
    for name, is_gzip in (("warc", False), ("warc.gz", True)):
        sink = io.BytesIO()
        writer = WARCWriter(sink, gzip=is_gzip)
        for url, kind, body in (("http://host/p", "text/html", PAGE), ("http://host/b/a.png", "image/png", b"png")):
            headers = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
            writer.write_record(writer.create_warc_record(url, "response", io.BytesIO(body), http_headers=headers))
        archives[name] = sink.getvalue()
    jsonl = b"\n".join([line, json.dumps(MMC4).encode(), b"", line])
    return {
        "html": PAGE,
        "jsonl": jsonl,
        "jsonl.gz": gzip.compress(jsonl),
        "parquet": table.getvalue(),
        "zip": _zip(PAGE),
        "tar": _sample(line),
        "tar.gz": gzip.compress(_sample(PAGE)),
        **archives,
        "headers": b"Content-Type: text/html\r\nTransfer-Encoding: chunked\n\n5\r\n<p>ab\r\n0\r\n\r\n",
        "zip64": b"PK\x06\x06" + struct.pack("<Q", 44) + bytes(40) + b"PK\x05\x06" + bytes(18),
    }
