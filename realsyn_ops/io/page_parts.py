"""Which part of a page an element opens, by its tag, its ARIA role and the customary words of its class and id."""

import re
from enum import Enum, auto
from functools import lru_cache


def _words(text: str) -> list[str]:
    return re.findall(r"[\w-]+", text)


class Part(Enum):
    INLINE = auto()  # within a running text
    BLOCK = auto()  # begins and ends a text
    DROPPED = auto()  # holds nothing for readers, wherever it stands
    BOILERPLATE = auto()  # surrounds the content; inside a main part it belongs to it
    MAIN = auto()
    FIGURE = auto()
    CAPTION = auto()


BY_TAG = {
    **dict.fromkeys(
        _words(
            "a abbr acronym b bdi bdo big br cite code data del dfn em font i img ins kbd mark nobr "
            "noscript output picture q ruby rb s samp small source span strike strong sub sup time tt u var wbr"
        ),
        Part.INLINE,
    ),
    **dict.fromkeys(
        _words(
            "script style template nav svg math iframe object embed applet video audio canvas map select input "
            "label textarea button pre datalist dialog rp rt menu progress meter title head link meta frameset"
        ),
        Part.DROPPED,
    ),
    **dict.fromkeys(_words("header footer aside"), Part.BOILERPLATE),
    "main": Part.MAIN,
    "article": Part.MAIN,
    "figure": Part.FIGURE,
    "figcaption": Part.CAPTION,
}
INLINE = frozenset(tag for tag, part in BY_TAG.items() if part is Part.INLINE)
_ROLES = {
    **dict.fromkeys(
        _words("navigation banner contentinfo search menu menubar toolbar dialog alertdialog tablist tooltip"),
        Part.DROPPED,
    ),
    "complementary": Part.BOILERPLATE,
    "main": Part.MAIN,
}
_HIDDEN = re.compile(
    r"""(?:^|\s)hidden(?:=""|=["']?(?:hidden|true))?(?=[\s/]|$)|\baria-hidden="true"|display:\s*none|visibility:\s*hidden""",
    re.IGNORECASE,
)
_ROLE = re.compile(r'\brole="\s*([a-z]+)', re.IGNORECASE)
_NAMES = re.compile(r'(?:^|\s)(?:class|id)="([^"]*)"')
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\s:./]+")

# Words of class and id that name what surrounds a content. Whole names, a hyphen being part of them...
_DROPPED_NAMES = re.compile(
    r"(?:.*-)?(?:nav(?:bar|igation|box|header|footer|path|links?|menu|list)?|(?:side|top|main|sub|foot(?:er)?)-?(?:nav|menu|bar)|menu(?:-?bar)?"
    r"|bread-?crumbs?|crumbs?|toc|table-of-contents|pagination|pager|paginator|footer(?:-.*)?|masthead|site-header|topbar"
    r"|cookies?(?:-(?:banner|notice|consent|bar|law|popup|message))?|consent|gdpr(?:-.*)?|newsletter(?:-.*)?|subscribe|subscription(?:-.*)?"
    r"|signup|sign-up|log-?in|share|sharing|shares|share-?(?:bar|buttons?|links?|tools?)|social(?:-.*)?|addthis.*|sharedaddy"
    r"|related-?.*|recommend(?:ed|ations?)(?:-.*)?|you-may-(?:also-)?like|read-more|more-(?:stories|posts|articles|news|from)"
    r"|also-like|popular(?:-.*)?|trending(?:-.*)?|most-read|promo(?:s|tion|ted|box)?|sponsor(?:ed|s)?(?:-.*)?|advert(?:s|isements?|ising|orial)?"
    r"|ads?|ad-(?:.*)|adsbygoogle|banner-ad|google-?ads?.*|dfp.*|outbrain.*|taboola.*"
    r"|comments?(?:-(?:form|list|area|section|wrapper))?|disqus.*|respond|reply-form|leave-a-reply"
    r"|widget(?:-area|s)?|sidebar(?:-.*)?|rail|skip(?:-(?:link|to-content|nav))?|screen-reader-text|sr-only|visually-hidden|visuallyhidden"
    r"|no-?print|print-?footer|print-only|printonly|catlinks|mw-editsection|editsection|mw-jump-link|navbox|vertical-navbox"
    r"|modal|popup|pop-up|overlay|lightbox|paywall|tooltip|search(?:-?(?:form|box|bar|field))?|copyright|legal|disclaimer"
    r"|author-(?:bio|box|card)|about-the-author|byline-social|tag-?(?:list|cloud|s-links)?|post-tags|toolbar|tool-bar|back-to-top|scroll-top|hidden|d-none|invisible)",
)
_CAPTION_NAMES = re.compile(
    r"(?:.*-)?(?:wp-caption-text|image-caption|photo-caption|thumbcaption|gallery-?caption|caption-text|img-caption)"
)
_SKIP_LINK = re.compile(r'class="[^"]*\b(?:skip|jump)')
_OWN_ADDRESS = frozenset({"a", "img", "source"})
_PROTECTED = frozenset({"body", "html", "table", "tbody", "tr", "main", "article", "form"})


def part_of(tag: str, attributes: str) -> Part:
    """The part that an element opens. `attributes` as they stand in the tag, values in double quotes."""
    if not attributes or tag in _OWN_ADDRESS:
        if tag == "a" and _SKIP_LINK.search(attributes):
            return Part.DROPPED
        return BY_TAG.get(tag, Part.BLOCK)
    return _judged(tag, attributes)


@lru_cache(maxsize=16_384)
def _judged(tag: str, attributes: str) -> Part:
    part = BY_TAG.get(tag, Part.BLOCK)
    if part is Part.DROPPED:
        return part
    if _HIDDEN.search(attributes) and tag != "body":
        return Part.DROPPED
    if (role := _ROLE.search(attributes)) and role[1].lower() in _ROLES:
        return _ROLES[role[1].lower()]
    for match in _NAMES.finditer(attributes):
        for name in _WORD_BREAK.sub(" ", match[1]).lower().split() if match[1] else ():
            if _CAPTION_NAMES.fullmatch(name):
                return Part.CAPTION
            if tag not in _PROTECTED and len(name) < 40 and _DROPPED_NAMES.fullmatch(name):
                return Part.DROPPED
    return part
