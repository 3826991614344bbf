"""Files that were cut or damaged: what stands before the place is kept, the rest is a reject that names it."""

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.io.documents import Limits, list_shards, read_documents
from realsyn_ops.records import Document, Reject
from realsyn_ops.stages.extract import extract
from tests.io.hostile_files import warc_record
from tests.io.test_round_trips import tarred, zipped

LIMITS = Limits(max_nodes=100, max_document_bytes=1_000_000, max_image_bytes=100_000)
N = 6
NOISE = [" ".join(str(n) for n in random.Random(place).sample(range(10**9), 300)) for place in range(N)]
PAGES = {f"{place}.html": f"<p>Page {place}.{NOISE[place]}".encode() for place in range(N)}
LINES = b"".join(
    json.dumps({"texts": [page.decode()], "images": [None], "url": name}).encode() + b"\n"
    for name, page in PAGES.items()
)


def warc() -> bytes:
    return b"".join(warc_record(page) for page in PAGES.values())


def warc_gz() -> bytes:
    return b"".join(gzip.compress(warc_record(page)) for page in PAGES.values())


def read_all(data: bytes, max_documents: int = 2) -> tuple[list[Document], list[str]]:
    file = io.BytesIO(data)
    shards = list_shards(file, "x", max_documents=max_documents, max_bytes=2**28).shards
    found = [item for shard in shards for item in read_documents(file, shard, source="s", limits=LIMITS)]
    counts = extract(found, day="2026-01-01", max_pixels=1).counts
    assert counts["documents_in"] == counts["documents_kept"] + counts["documents_rejected"] == len(found)
    rejects = [item.detail for item in found if isinstance(item, Reject)]
    return [item for item in found if isinstance(item, Document)], rejects


def tar() -> bytes:
    """Without the zeros that fill a tar's last record."""
    data = tarred(PAGES)
    return data[: -(-len(data.rstrip(b"\0")) // 512) * 512 + 1024]


FORMATS: dict[str, tuple[Callable[[], bytes], str]] = {
    "warc": (warc, "damaged in or after the record at byte|not read"),
    "warc.gz": (warc_gz, "damaged in or after the record at byte"),
    "jsonl": (lambda: LINES, "not JSON"),
    "jsonl.gz": (lambda: gzip.compress(LINES), "its gzip is damaged or cut"),
    "tar": (tar, "the rest is not read"),
    "tar.gz": (lambda: gzip.compress(tarred(PAGES)), "its gzip is damaged or cut"),
    "zip": (lambda: zipped(PAGES), "its directory is gone"),
}


@pytest.mark.parametrize("share", [0.3, 0.55, 0.8, 0.97])
@pytest.mark.parametrize("name", FORMATS)
def test_a_cut_file_gives_what_stands_before_the_cut_and_says_where_it_ends(name: str, share: float) -> None:
    make, told = FORMATS[name]
    whole, none = read_all(make())
    assert (len(whole), none) == (N, [])
    data = make()
    kept, rejects = read_all(data[: int(len(data) * share)])
    assert kept == whole[: len(kept)]
    assert share * N - 2 <= len(kept) < N or share == 0.97
    assert rejects
    assert any(part in detail for detail in rejects for part in told.split("|"))


@pytest.mark.parametrize("place", range(1, 40, 3))
@pytest.mark.parametrize("make", [warc, warc_gz])
def test_no_cut_of_a_warc_is_silent_but_between_two_records(make: Callable[[], bytes], place: int) -> None:
    data = make()
    kept, rejects = read_all(data[: len(data) * place // 40])
    starts = [int(document.record[1:]) for document in read_all(data)[0]]
    assert len(rejects) == (len(data) * place // 40 not in starts)
    assert [int(document.record[1:]) for document in kept] == starts[: len(kept)]


@pytest.mark.parametrize("max_documents", [1, 3, 100])
def test_a_damaged_record_of_a_warc_gz_costs_itself_alone(max_documents: int) -> None:
    data = bytearray(warc_gz())
    whole, _ = read_all(bytes(data))
    start = int(whole[2].record[1:]) + 60
    data[start : start + 200] = bytes(200)
    kept, rejects = read_all(bytes(data), max_documents)
    assert kept == whole[:2] + whole[3:]
    assert len(rejects) == 1
    assert f"at byte {whole[1].record[1:]}" in rejects[0] or f"at byte {whole[2].record[1:]}" in rejects[0]


def test_a_damaged_row_group_costs_itself_alone() -> None:
    rows = [{"texts": [page.decode()], "images": [None]} for page in PAGES.values()]
    schema = pa.schema([("texts", pa.list_(pa.string())), ("images", pa.list_(pa.string()))])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink, row_group_size=2, compression="zstd")
    whole, _ = read_all(sink.getvalue())
    place = pq.ParquetFile(io.BytesIO(sink.getvalue())).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(sink.getvalue())
    data[place : place + 400] = bytes(400)
    kept, rejects = read_all(bytes(data))
    assert kept == whole[:2] + whole[4:]
    assert len(rejects) == 1
    assert "row group 1" in rejects[0]
    nothing, told = read_all(sink.getvalue()[:-50])
    assert (nothing, len(told)) == ([], 1)
    assert "not readable as parquet" in told[0]


def test_a_zip_without_its_directory_is_read_with_sizes_that_stand_after_the_data() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError("a pipe")

    sink = Pipe()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, page in PAGES.items():
            bundle.writestr(name, page)
    data = sink.getvalue()
    kept, rejects = read_all(data[: data.index(b"PK\x01\x02")])
    assert len(kept) == N
    assert len(rejects) == 1
