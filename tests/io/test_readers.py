"""Bundles, pages and tables into documents: what is read, in which order, and how an object splits into shards."""

import base64
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realsyn_ops.io.charsets import decode_html
from realsyn_ops.io.documents import Limits, Shard, list_shards, read_documents
from realsyn_ops.io.html import read_html
from realsyn_ops.io.image_sources import RefusedImageError, resolve_src
from realsyn_ops.records import Document, ImageNode, Reason, Reject, TextNode

LIMITS = Limits(max_nodes=100, max_document_bytes=1_000_000, max_image_bytes=10_000)


def zipped(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return path


def read_all(path: Path, *, max_documents: int = 200, limits: Limits = LIMITS) -> list[Document | Reject]:
    with path.open("rb") as file:
        shards = list_shards(file, path.name, max_documents=max_documents, max_bytes=2**28).shards
        return [found for shard in shards for found in read_documents(file, shard, source="s", limits=limits)]


def nodes_of(page: str) -> list[str]:
    """Nodes as short strings: text, or an image's [src|alt]."""
    nodes = read_html(page.encode()).nodes
    return [node.text if isinstance(node, TextNode) else f"[{node.src}|{node.alt}]" for node in nodes]


@pytest.mark.parametrize(
    ("page", "nodes"),
    [
        ("<h1>A</h1><p>b  <b>c</b>\n d</p><ul><li>e<li>f</ul>", ["A", "b c d", "e", "f"]),
        ("<div>a<p>b</p>c</div>d", ["a", "b", "c", "d"]),
        ("<table><tr><td>a<td>b<tr><th>c</table>", ["a", "b", "c"]),
        ("<dl><dt>term<dd>what it means</dl><blockquote>q</blockquote>", ["term", "what it means", "q"]),
        ("one<br>line<br><br>two", ["one line", "two"]),
        ("<p>a</p><img src=x.png alt=' the  x '><p>b</p>", ["a", "[x.png|the x]", "b"]),
        ("<p>Click <img src=i.png> to start.</p>", ["Click to start.", "[i.png|]"]),
        ("<img src='data:image/gif;base64,AA' data-src=real.jpg>", ["[real.jpg|]"]),
        (
            "<nav>n</nav><header>h</header><p>a</p><footer>f</footer><aside>s</aside><form><label>o</label><p>b</form>",
            ["a", "b"],
        ),
        ("<p>a<script>x</script><style>y</style><noscript>z</noscript><pre>code</pre>", ["a"]),
        ("<div class='x navheader'>n<p>m</p><img src=up.png></div><p>a</p><div role=navigation>b</div>", ["a"]),
        ("<p hidden>h</p><p style='color:red;display: none'>i</p><p>a</p>", ["a"]),
        ("<p>a</p><div class=toc><ul><li>b</ul></div><p>c", ["a", "c"]),
        ("<p>x&amp;y &lt;z&gt; &nbsp; \u200bsoft\u00adhyphen</p>", ["x&y <z> softhyphen"]),
        ("<!-- no --><p>a<!-- no --></p>", ["a"]),
        ("<template><p>no</p></template><svg><text>no</text></svg><p>a", ["a"]),
        ("<p>a<p>b</b></i></div></p>c", ["a", "b", "c"]),
    ],
)
def test_a_page_is_read_block_by_block_in_reading_order(page: str, nodes: list[str]) -> None:
    assert nodes_of(page) == nodes


def test_the_title_is_the_heads_and_not_a_drawings() -> None:
    title = read_html(b"<head><title> A  &amp; B </title></head><svg><title>no</title></svg>").title
    assert title == "A & B"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\ufeffé".encode(), "é"),
        ("é".encode("utf-16"), "é"),
        ('<meta charset="iso-8859-1">é'.encode("latin-1"), "é"),
        ('<meta http-equiv=Content-Type content="text/html; charset=koi8-r">я'.encode("koi8-r"), "я"),
        ('<?xml version="1.0" encoding="windows-1251"?>я'.encode("cp1251"), "я"),
        ("é €".encode(), "é €"),
        ("caf\xe9 \x80".encode("latin-1"), "café €"),
        ("é ü ö ä".encode() + b"\xc3", "é ü ö ä\ufffd"),
        (b'<meta charset="zlib">a', "a"),
        (b'<meta charset="punycode">a', "a"),
        (b'<meta charset="utf-16">a', "a"),
    ],
)
def test_a_pages_charset_is_its_boms_the_declared_one_or_utf_8(data: bytes, text: str) -> None:
    assert decode_html(data).rpartition(">")[2] == text


@pytest.mark.parametrize(
    ("src", "member"),
    [
        ("i/a.png", "docs/i/a.png"),
        ("./a%20b.png?v=1#top", "docs/a b.png"),
        ("../a.png", "a.png"),
        ("..\\i\\a.png", "i/a.png"),
        ("/a.png", "a.png"),
        ("x/../../docs/a.png", "docs/a.png"),
        ("../../etc/passwd", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("/../../etc/passwd", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("..%2f..%2Fetc/passwd", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("..%5c..\\etc/passwd", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("file:///etc/passwd", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("C:\\secret.png", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("C%3A/secret.png", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("\\\\host\\share.png", Reason.IMAGE_OUTSIDE_BUNDLE),
        (" jav\nascript:x", Reason.IMAGE_OUTSIDE_BUNDLE),
        ("http://169.254.169.254/x", Reason.IMAGE_REMOTE),
        ("HTTPS://host/a.png", Reason.IMAGE_REMOTE),
        ("//host/a.png", Reason.IMAGE_REMOTE),
        ("", Reason.IMAGE_MISSING),
        ("#only", Reason.IMAGE_MISSING),
    ],
)
def test_an_src_leads_to_a_member_or_to_a_reason(src: str, member: str) -> None:
    if isinstance(member, Reason):
        with pytest.raises(RefusedImageError) as refused:
            resolve_src(src, "docs/page.html")
        assert refused.value.reason == member
    else:
        assert resolve_src(src, "docs/page.html") == member


def test_images_of_a_page_carry_their_bytes_or_the_reason_why_not(tmp_path: Path) -> None:
    inline = base64.b64encode(b"inline").decode()
    page = (
        "<p>text</p><img src=i/a.png alt=A><img src=gone.png><img src=big.png><img src='https://host/x.png'>"
        f"<img src='data:image/png;base64,{inline}'><img src='data:image/png;base64,{'A' * 20_000}'><img src=i/a.png>"
    )
    path = zipped(tmp_path / "b.zip", {"d/p.html": page, "d/i/a.png": b"bytes", "d/big.png": bytes(10_001)})
    [document] = read_all(path)
    assert isinstance(document, Document)
    images = [node for node in document.nodes if isinstance(node, ImageNode)]
    assert [(image.data, image.reason) for image in images] == [
        (b"bytes", None),
        (None, Reason.IMAGE_MISSING),
        (None, Reason.IMAGE_TOO_LARGE),
        (None, Reason.IMAGE_REMOTE),
        (b"inline", None),
        (None, Reason.IMAGE_TOO_LARGE),
        (b"bytes", None),
    ]
    assert images[0].alt == "A"
    assert images[4].src == "data:image/png;base64"


def test_the_images_of_one_document_share_a_budget_in_which_each_counts_once(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {f"{n}.png": bytes([n]) * 400 for n in range(3)}
    path = zipped(tmp_path / "b.zip", members | {"p.html": "".join(f"<img src={n}.png>" for n in (0, 0, 1, 2))})
    [document] = read_all(path, limits=Limits(max_nodes=9, max_document_bytes=900, max_image_bytes=500))
    assert isinstance(document, Document)
    reasons = [node.reason for node in document.nodes if isinstance(node, ImageNode)]
    assert reasons == [None, None, None, Reason.IMAGE_TOO_LARGE]


def test_a_bundle_splits_into_runs_of_pages_in_order_of_path(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "b.zip", {f"{n}.html": f"<p>{n}" for n in (3, 1, 2)} | {"x.css": "", "__MACOSX/4.html": "x"}
    )
    file = io.BytesIO(path.read_bytes())
    shards = list_shards(file, "raw/b.zip", max_documents=2, max_bytes=2**28).shards
    assert [(shard.kind, shard.start, shard.stop) for shard in shards] == [("html", 0, 2), ("html", 2, 3)]
    assert [Shard(**json.loads(json.dumps(asdict(shard)))) for shard in shards] == shards
    records = [found.record for shard in shards for found in read_documents(file, shard, source="s", limits=LIMITS)]
    assert records == ["1.html", "2.html", "3.html"]


def test_shards_do_not_depend_on_the_order_of_members_in_the_zip(tmp_path: Path) -> None:
    pages = {f"{n}.html": f"<p>{n}" for n in range(5)}
    one = zipped(tmp_path / "one.zip", pages)
    two = zipped(tmp_path / "two.zip", dict(reversed(pages.items())))
    assert [d.key for d in read_all(one)] == [d.key for d in read_all(two)]  # type: ignore[union-attr]


ROWS = [
    {
        "texts": ["First one.\n\nSecond one.", None, "Third."],
        "images": [None, b"picture", None],
        "metadata": json.dumps([None, {"src": "http://host/p.jpg", "alt_text": "a bird"}, None]),
        "general_metadata": json.dumps({"url": "http://host/page"}),
    },
    {"texts": [None], "images": [b"other"], "metadata": None, "general_metadata": "{"},
]


@pytest.mark.parametrize("max_documents", [1, 200])
def test_parquet_rows_are_documents_whatever_the_shards(tmp_path: Path, max_documents: int) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS * 3), tmp_path / "t.parquet", row_group_size=4)
    found = read_all(tmp_path / "t.parquet", max_documents=max_documents)
    assert [document.record for document in found] == [f"#{n}" for n in range(6)]
    first = found[0]
    assert isinstance(first, Document)
    assert first.url == "http://host/page"
    assert first.nodes == (
        TextNode("First one."),
        TextNode("Second one."),
        ImageNode("http://host/p.jpg", "a bird", b"picture"),
        TextNode("Third."),
    )
    assert found[1].nodes == (ImageNode("", "", b"other"),)  # type: ignore[union-attr]


def test_a_parquet_struct_and_a_path_find_their_image(tmp_path: Path) -> None:
    table = pa.table(
        {
            "texts": pa.array([["a", None, None]], pa.list_(pa.string())),
            "images": pa.array(
                [[None, {"bytes": b"x", "path": "x.png"}, {"bytes": None, "path": "i/y.png"}]],
                pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            ),
            "title": ["T"],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    path = zipped(tmp_path / "b.zip", {"d/t.parquet": sink.getvalue(), "d/i/y.png": b"y"})
    [document] = read_all(path)
    assert isinstance(document, Document)
    assert (document.record, document.title) == ("d/t.parquet#0", "T")
    assert document.nodes[1:] == (ImageNode("x.png", "", b"x"), ImageNode("i/y.png", "", b"y"))


@pytest.mark.parametrize("max_documents", [1, 2, 200])
@pytest.mark.parametrize("is_bundled", [True, False])
def test_json_lines_are_documents_whatever_the_shards(tmp_path: Path, max_documents: int, is_bundled: bool) -> None:
    lines = [json.dumps({"texts": [f"Text {n}.", None], "images": [None, "i.png"], "url": f"u{n}"}) for n in range(5)]
    lines.insert(2, "")
    data = "\r\n".join(lines)
    if is_bundled:
        path = zipped(tmp_path / "b.zip", {"t.jsonl": data, "i.png": b"i"})
    else:
        path = tmp_path / "t.jsonl"
        path.write_text(data)
    found = read_all(path, max_documents=max_documents)
    member = "t.jsonl" if is_bundled else ""
    assert [document.record for document in found] == [f"{member}#{n}" for n in (0, 1, 3, 4, 5)]
    image = found[-1].nodes[1]  # type: ignore[union-attr]
    assert image.data == b"i" if is_bundled else image.reason == Reason.IMAGE_MISSING


def test_a_bundle_may_hold_pages_and_tables(tmp_path: Path) -> None:
    line = json.dumps({"texts": ["T."], "images": [None]})
    path = zipped(tmp_path / "b.zip", {"p.HTM": "<p>P", "t.jsonl": line})
    assert [document.record for document in read_all(path)] == ["p.HTM", "t.jsonl#0"]
