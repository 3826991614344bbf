"""An HTML page read into its title and nodes in reading order. Knows nothing of bundles or files: bytes in, nodes out.

lexbor parses the page as a browser does and writes it out again, well-formed; one regular expression cuts that into
tags and texts, and one loop reads them. What surrounds the content is told by `page_parts`, never by site. An image's
bytes are not read here: its node has neither data nor reason yet.
"""

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.charsets import clean_text, decode_html
from realsyn_ops.io.page_images import PageImage
from realsyn_ops.io.page_parts import BY_TAG, INLINE, Part, part_of
from realsyn_ops.records import Node, TextNode

# A parser walks its open elements at every tag: cost is tags times depth, and unclosed formatting elements are copied
# into every block that follows. Pages of people stay far below (depth 60, some 100,000 tags).
MAX_TAGS = 1_000_000
MAX_DEPTH = 5_000
MAX_WORK = 50_000_000
MAX_COPIES = 1_500_000
MAX_ATTRIBUTES = 2_000

# A tag of well-formed HTML (slash, name, attributes), or what holds no text for readers. It never fails at a "<" that
# opens something, so that it is linear on any input.
_TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<!doctype[^>]*>"
    r"|<(script|style|xmp|iframe|noembed|noframes|plaintext)\b.*?(?:</\1>|\Z)"
    r'|<(/?)([a-z][^\s/>]*)([^">]*+(?:"[^"]*+"[^">]*+)*+)(?:>|"[^>]*+(?:>|\Z)|\Z)',
    re.DOTALL,
)
_VOID = frozenset(re.findall(r"\w+", "area base br col embed hr img input link meta param source track wbr"))
_WITHIN_TEXT = frozenset(re.findall(r"\w+", "button select input label rp rt meta link"))
_BREAK = "\x1e"
_BREAKS = re.compile("\x1e(?:\\s*\x1e)+")
_ENTITY = (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\xa0"), ("&quot;", '"'), ("&amp;", "&"))

_MAIN_SHARE = 0.5
"""When what a page marks as its main part holds this share of the text, the rest is left out."""
_MENU_RUN = 4
_MENU_WORDS = 12
_SENTENCE_END = re.compile(r"[.!?…。！？:;]['\"”’)\]]*$")

_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_LONG_TAG = re.compile(rb"<[a-zA-Z][^<>]{8000,}")
_FLAT = frozenset(
    b"area base br col embed hr img input link meta source track wbr p li dt dd td th tr tbody thead tfoot option "
    b"colgroup caption html head body".split()
)
_FORMATTING = frozenset(re.findall(rb"\w+", b"a b big code em font i nobr s small strike strong tt u"))
_FORMATTING_TAG = re.compile(rb"<(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\s>]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says: `base` is the href that its relative addresses resolve against, empty for its own address."""

    title: str
    base: str
    nodes: list[Node]


def read_html(data: bytes, *, charset: str = "", max_nodes: int = 1_000_000) -> Page:
    """Title and nodes of a page; at most about `max_nodes` nodes are read. `charset` is what its HTTP header said.

    Raises BadDocumentError for what is no page, or nested beyond reason.
    """
    text = decode_html(data, charset).encode("utf-8", "replace")
    _check_nesting(text)
    tree = LexborHTMLParser(text)
    title = tree.css_first("head > title") if tree.head is not None else None
    base = tree.css_first("base[href]") if b"<base" in text[:65_536].lower() else None
    body = tree.body
    return Page(
        clean_text(title.text() if title is not None else ""),
        (base.attributes.get("href") or "").strip() if base is not None else "",
        _Reader(max_nodes).read(body.html or "") if body is not None else [],
    )


@dataclass(slots=True)
class _Block:
    """A text or an image on its way to a node."""

    text: str
    image: PageImage | None
    is_main: bool
    is_link: bool = False


@dataclass(slots=True)
class _Reader:
    """Reads the written-out body once. `depth` counts open elements; a part is open until its depth is left."""

    max_nodes: int
    blocks: list[_Block] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    images: list[PageImage] = field(default_factory=list)
    link_chars: int = 0
    is_main: bool = False

    def read(self, html: str) -> list[Node]:
        depth = 0
        dropped = main = caption = figure = link = noscript = 0  # the depth at which each was opened; 0: it is not
        figure_start = 0
        sources: list[str] = []
        words, images, flush = self.words, self.images, self.flush
        pieces = iter(_TOKEN.split(html))
        for text, _, slash, name, attributes in zip(pieces, pieces, pieces, pieces, pieces, strict=False):
            if text and not dropped and not noscript and (words or not text.isspace()):
                words.append(text)
                if link:
                    self.link_chars += len(text)
            if name is None:
                continue
            if slash:
                if depth == dropped:
                    dropped = 0
                elif not dropped:
                    if depth == link:
                        link = 0
                    elif depth == noscript:
                        noscript = 0
                    elif depth == caption:
                        self.close_caption(figure_start if figure else len(self.blocks) - 1)
                        caption = 0
                    elif (words or images) and name not in INLINE:
                        flush()
                    if depth == figure:
                        figure = 0
                    elif depth == main:
                        main, self.is_main = 0, False
                depth -= 1
                continue
            if name not in _VOID:
                depth += 1
            if dropped:
                continue
            part = part_of(name, attributes) if attributes else BY_TAG.get(name, Part.BLOCK)
            if part is Part.INLINE:
                if name == "a":
                    link = link or depth
                elif name == "img":
                    self.add_image(PageImage.of(attributes, sources), is_fallback=noscript > 0)
                    sources = []
                elif name == "br":
                    words.append(_BREAK)
                elif name == "source":
                    sources.append(attributes)
                elif name == "noscript":
                    noscript = noscript or depth
                elif name == "picture":
                    sources = []
                continue
            if (words or images) and name not in _WITHIN_TEXT:
                flush()
            if name == "amp-img":
                self.add_image(PageImage.of(attributes, []), is_fallback=False)
                continue
            if part is Part.DROPPED or (part is Part.BOILERPLATE and not main):
                if name not in _VOID:
                    dropped = depth
            elif part is Part.MAIN and not main:
                main, self.is_main = depth, True
            elif part is Part.CAPTION and not caption:
                caption = depth
            elif part is Part.FIGURE and not figure:
                figure, figure_start = depth, len(self.blocks)
            if len(self.blocks) > self.max_nodes:
                break
        self.flush()
        return self.nodes()

    def flush(self) -> None:
        """The text of a block and the images in it; two line breaks end a paragraph, one is a blank.

        An image inside a running text stands after it, so that an icon does not break a sentence.
        """
        if self.words:
            text = "".join(self.words)
            self.words.clear()
            if text and not text.isspace():
                is_link = self.link_chars > 0.8 * len(text.strip())
                for paragraph in _BREAKS.split(text) if _BREAK in text else (text,):
                    if folded := clean_text(_unescaped(paragraph)):
                        self.blocks.append(_Block(folded, None, self.is_main, is_link))
            self.link_chars = 0
        if self.images:
            self.blocks += [_Block("", image, self.is_main) for image in self.images]
            self.images.clear()

    def add_image(self, image: PageImage | None, *, is_fallback: bool) -> None:
        """A <noscript>'s image is no new one: it tells the address of the placeholder before it."""
        if image is None:
            return
        if not is_fallback:
            self.images.append(image)
            return
        before = self.images[-1] if self.images else self.blocks[-1].image if self.blocks else None
        if before is not None and (before.is_placeholder or before.shares_address(image)):
            before.learn(image)

    def close_caption(self, start: int) -> None:
        """Gives the open caption's text to the images since block `start`; where there is none it stays a text."""
        text = clean_text(_unescaped("".join(self.words)).replace(_BREAK, " "))
        images = [b.image for b in self.blocks[max(0, start) :] if b.image is not None] + self.images
        if images and text:
            self.words.clear()
            self.link_chars = 0
            for image in images:
                image.caption = image.caption or text
        self.flush()

    def nodes(self) -> list[Node]:
        """The blocks as nodes: the main part alone where it holds most of the text, and no runs of mere links."""
        n_main = sum(len(b.text) for b in self.blocks if b.is_main)
        has_main = n_main > _MAIN_SHARE * sum(len(b.text) for b in self.blocks) > 0
        kept = [b for b in self.blocks if b.is_main] if has_main else self.blocks
        menus = _menus(kept)
        nodes: list[Node] = []
        for block, is_menu in zip(kept, menus, strict=True):
            if block.image is not None:
                nodes.append(block.image.node())
            elif not is_menu:
                nodes.append(TextNode(block.text))
        return nodes


def _menus(blocks: list[_Block]) -> list[bool]:
    """Which blocks belong to a run of at least `_MENU_RUN` short texts that are links and end no sentence.

    Images do not break such a run and are never part of it: a gallery loses its link texts, not its images.
    """
    is_menu = [False] * len(blocks)
    run: list[int] = []
    for place, block in enumerate(blocks):
        if block.image is not None:
            continue
        if block.is_link and block.text.count(" ") < _MENU_WORDS and not _SENTENCE_END.search(block.text):
            run.append(place)
            continue
        if len(run) >= _MENU_RUN:
            for member in run:
                is_menu[member] = True
        run = []
    if len(run) >= _MENU_RUN:
        for member in run:
            is_menu[member] = True
    return is_menu


def _unescaped(text: str) -> str:
    """Text as it was before it was written out as HTML: only these few entities are ever written."""
    if "&" in text:
        for entity, character in _ENTITY:
            text = text.replace(entity, character)
    return text


def _check_nesting(data: bytes) -> None:
    """Raises BadDocumentError for a page whose nesting would cost the parser minutes or gigabytes."""
    for match in _LONG_TAG.finditer(data):
        if (n_attributes := len(match[0].split())) > MAX_ATTRIBUTES:
            raise BadDocumentError(f"a tag of {n_attributes} attributes")
    n_tags = data.count(b"<")
    if n_tags <= 1_000:
        return
    if n_tags > MAX_TAGS:
        raise BadDocumentError(f"{n_tags} tags, limit {MAX_TAGS}")
    n_formatting = len(_FORMATTING_TAG.findall(data))
    if n_tags <= MAX_DEPTH and n_tags * n_tags <= MAX_WORK and n_tags * n_formatting <= MAX_COPIES:
        return  # not even all of them inside each other would be too much
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
