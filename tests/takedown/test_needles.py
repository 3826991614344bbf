"""What is found in bytes and values, however it is written, and what is no trace."""

import html
import json

import pyarrow as pa
import pytest

from realsyn_ops.io.takedowns import NEEDLES
from realsyn_ops.takedown.needles import Hit, Needles
from realsyn_ops.takedown.scan import hits_of

TEXT = 'The heron said "é" & flew <away> at noon.'
WINDOW = bytes(range(3, 67))
SHORT = "It is so."


def needles(*rows: tuple[str, str, bytes]) -> Needles:
    table = [dict(zip(NEEDLES.names, row, strict=True)) for row in rows]
    return Needles(pa.Table.from_pylist(table, schema=NEEDLES))


NEEDLE = needles(("text", "s1", TEXT.encode()), ("image", "i1", WINDOW), ("text", "s2", SHORT.encode()))


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize(
    "written",
    [
        TEXT.encode(),
        json.dumps({"text": TEXT}).encode(),
        json.dumps({"text": TEXT}, ensure_ascii=False).encode(),
        html.escape(TEXT).encode(),
        html.escape(json.dumps(TEXT)).encode(),
    ],
    ids=["plain", "json", "json-utf8", "html", "json-in-html"],
)
def test_a_text_is_found_at_any_place_however_it_is_written(written: bytes, before: int) -> None:
    assert set(NEEDLE.hits(b"x" * before + written + b"y")) == {Hit("text", "s1")}


@pytest.mark.parametrize("before", range(4))
def test_a_stretch_of_an_image_is_found_in_bytes(before: int) -> None:
    data = b"\x03" * before + WINDOW
    assert list(NEEDLE.hits(data)) == [Hit("image", "i1")]
    assert list(NEEDLE.hits(data[:-1])) == []
    assert list(NEEDLE.hits(b"")) == []


def test_in_a_table_a_text_counts_where_a_value_is_it() -> None:
    longer = f"Somebody wrote: {TEXT}"
    assert list(hits_of(pa.table({"text": [longer, "another"]}), NEEDLE)) == []
    assert set(hits_of(pa.table({"texts": [[longer], [TEXT, SHORT]]}), NEEDLE)) == {
        Hit("text", "s1"),
        Hit("text", "s2"),
    }
    assert set(hits_of(pa.table({"data": [b"..", b"." + WINDOW]}), NEEDLE)) == {Hit("image", "i1")}


def test_a_short_text_is_found_as_a_whole_value_only() -> None:
    assert list(NEEDLE.hits(f"And {SHORT} Or not.".encode())) == []
