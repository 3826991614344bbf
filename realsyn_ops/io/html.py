"""An HTML page read into its title and nodes in reading order. Knows nothing of bundles or files: bytes in, nodes out.

What surrounds the content (navigation, headers, forms, scripts) is dropped by tag, ARIA role or customary class name,
never by site. An image's bytes are not read here: its node has neither data nor reason yet.
"""

import codecs
import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.records import ImageNode, Node, TextNode, fold_space

# A parser walks its open elements at every tag: cost is tags times depth, and unclosed formatting elements are copied
# into every block that follows. Pages of people stay far below (depth 60, a million tags at depth 20).
MAX_DEPTH = 5_000
MAX_WORK = 50_000_000
MAX_COPIES = 1_500_000
MAX_ATTRIBUTES = 2_000

_DROPPED = frozenset(
    re.findall(
        r"\w+",
        "head script style noscript template nav header footer form aside svg math iframe object embed video audio "
        "canvas select textarea button pre datalist dialog rp rt",
    )
)
_INLINE = frozenset(
    re.findall(
        r"\w+",
        "a abbr acronym b bdi bdo big br cite code data del dfn em font i img ins kbd label mark nobr output picture q "
        "ruby s samp small source span strike strong sub sup time tt u var wbr",
    )
)
_BOILERPLATE = (
    "[hidden], [aria-hidden=true], [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=menu], "
    '[role=toolbar], [style*="display:none"], [style*="display: none"], .nav, .navbar, .navigation, .navheader, '
    ".navfooter, .breadcrumb, .breadcrumbs, .navpath, .toc, .sidebar, .footer, .noprint, .printfooter, .catlinks, "
    ".editsection, .mw-editsection, .mw-jump-link, .skip-link, .cookie-banner"
)
_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_LONG_TAG = re.compile(rb"<[a-zA-Z][^<>]{8000,}")
_FLAT = frozenset(
    b"area base br col embed hr img input link meta source track wbr p li dt dd td th tr tbody thead tfoot option "
    b"colgroup caption html head body".split()
)
_FORMATTING = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
_CHARSET = re.compile(
    rb"""<(?:meta\b[^>]{0,200}?charset|\?xml\b[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE
)
_TEXT_CODEC = re.compile(r"cp\d+|iso8859-\d+|koi8-[rut]|gb\w+|big5\w*|shift_jis\w*|euc_\w+|mac-\w+|tis-620")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROLS = bytes(range(9)) + bytes(range(14, 27)) + bytes(range(28, 32))
_NOISE = re.compile("[\x00-\x08\x0e-\x1b\x7f\xad\u200b\u2060\ufeff\ud800-\udfff]")
_BREAKS = re.compile("\x1e(?:\\s*\x1e)+")


def clean_text(text: str) -> str:
    """Folded text without what no reader sees: control characters, soft hyphens, zero-width blanks, lone surrogates."""
    return fold_space(_NOISE.sub("", text))


def decode_html(data: bytes) -> str:
    """Text of a page: its BOM's charset, the one it declares, UTF-8, or Windows' Latin 1 where UTF-8 mostly fails."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "replace")
    head = data[:4096]
    if len(head) - len(head.translate(None, _CONTROLS)) > len(head) // 20:
        raise BadDocumentError("binary data, not HTML")
    declared = _CHARSET.search(head)
    if declared and (codec := _text_codec(declared[1].decode("ascii", "replace"))):
        return data.decode(codec, "replace")
    text = data.decode("utf-8", "replace")
    n_foreign = len(text) - len(text.encode("ascii", "ignore"))
    return data.decode("cp1252", "replace") if text.count("\ufffd") * 2 > n_foreign else text


def read_html(data: bytes) -> tuple[str, Iterator[Node]]:
    """(title, nodes) of a page; the nodes are read as they are taken. Raises BadDocumentError for what is no page."""
    text = decode_html(data).encode("utf-8", "replace")
    _check_nesting(text)
    tree = LexborHTMLParser(text, scripting=True)
    title = tree.css_first("head > title")
    return clean_text(title.text() if title else ""), _nodes(tree)


def _nodes(tree: LexborHTMLParser) -> Iterator[Node]:
    """One pass over the tree in reading order; a block's text ends where any block begins or ends.

    An image inside a running text stands after it, so that an icon does not break a sentence.
    """
    hidden = {node.mem_id for node in tree.css(_BOILERPLATE)}
    stack: list[tuple[int, bool, bool]] = []  # (element, is_block, is_dropped) of the open elements
    words: list[str] = []
    images: list[ImageNode] = []
    if tree.root is None:
        return
    for node in tree.root.traverse(include_text=True):
        parent = node.parent.mem_id if node.parent is not None else 0
        while stack and stack[-1][0] != parent:
            _, is_block, is_dropped = stack.pop()
            if is_block and not is_dropped and (words or images):
                yield from _flush(words, images)
        is_dropped = bool(stack) and stack[-1][2]
        tag = node.tag or ""
        if tag == "-text":
            if not is_dropped:
                words.append(node.text_content or "")
            continue
        if not node.is_element_node:
            continue
        mem_id = node.mem_id
        is_block = tag not in _INLINE
        if not is_dropped:
            is_dropped = tag in _DROPPED or mem_id in hidden
            if is_block:
                if words or images:
                    yield from _flush(words, images)
            elif tag == "br":
                words.append("\x1e")
            elif tag == "img" and not is_dropped:
                images.append(_image(node))
        stack.append((mem_id, is_block, is_dropped))
    yield from _flush(words, images)


def _flush(words: list[str], images: list[ImageNode]) -> Iterator[Node]:
    """The text of a block and the images in it; two line breaks end a paragraph, one is a blank."""
    text = "".join(words)
    words.clear()
    if text and not text.isspace():
        for part in _BREAKS.split(text):
            if folded := clean_text(part):
                yield TextNode(folded)
    yield from images
    images.clear()


def _image(node: LexborNode) -> ImageNode:
    """Its src, or data-src where src is only the placeholder of a lazily loaded image."""
    attributes = node.attributes
    src = (attributes.get("src") or "").strip()
    if not src or src.startswith("data:"):
        src = (attributes.get("data-src") or "").strip() or src
    return ImageNode(src, clean_text(attributes.get("alt") or ""))


def _check_nesting(data: bytes) -> None:
    """Raises BadDocumentError for a page whose nesting would cost the parser minutes or gigabytes."""
    for match in _LONG_TAG.finditer(data):
        if (n_attributes := len(match[0].split())) > MAX_ATTRIBUTES:
            raise BadDocumentError(f"a tag of {n_attributes} attributes")
    if data.count(b"<") < 1_000:
        return
    n_tags = depth = deepest = formatting = most_formatting = 0
    for match in _TAG.finditer(data):
        n_tags += 1
        tag = match[2].lower()
        if tag in _FLAT:
            continue
        step = -1 if match[1] else 1
        depth = max(0, depth + step)
        deepest = max(deepest, depth)
        if tag in _FORMATTING:
            formatting = max(0, formatting + step)
            most_formatting = max(most_formatting, formatting)
    if deepest > MAX_DEPTH or n_tags * deepest > MAX_WORK or n_tags * most_formatting > MAX_COPIES:
        raise BadDocumentError(f"{n_tags} tags nested {deepest} deep")


def _text_codec(name: str) -> str | None:
    """Python's codec for a declared charset, as browsers read it; None for what is unknown or no text."""
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    if codec in {"ascii", "iso8859-1"}:
        return "cp1252"
    return codec if _TEXT_CODEC.fullmatch(codec) else None
