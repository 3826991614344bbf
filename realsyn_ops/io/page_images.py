"""The images of a page: which of the addresses that an <img> and its <source>s give is the image, and what it says.

Lazy loading leaves a placeholder in `src`; `srcset` and <picture> offer sizes. The largest real one is best.
"""

import html
import re
from dataclasses import dataclass

from realsyn_ops.io.charsets import clean_text
from realsyn_ops.records import ImageNode

_ATTRIBUTE = re.compile(r'([^\s"=/]+)="([^"]*)"')
_LAZY = ("data-src", "data-lazy-src", "data-original", "data-lazy", "data-url", "data-hi-res-src", "data-full-src",
         "data-image", "data-img-src")  # fmt: skip
_LAZY_SETS = ("data-srcset", "data-lazy-srcset")
_PLACEHOLDER = re.compile(
    r"data:image/(?:gif|svg)|data:image/png;base64,.{0,200}$|.*\b(?:placeholder|spacer|blank|transparent|pixel|1x1|loading|lazy)"
    r"[\w.-]*\.(?:gif|png|svg)(?:\?.*)?$|about:blank|#?$",
    re.IGNORECASE | re.DOTALL,
)
_CANDIDATE = re.compile(r"\s*,*\s*(\S*[^\s,])(?:\s+([\d.]+)([wx])|(?:\s+[\d.]+h)?)[^,]*(?:,|$)")
_TINY = re.compile(r"0*[0-2](?:px)?")


@dataclass(slots=True)
class PageImage:
    """An image on its way to a node; `addresses`, best first."""

    addresses: list[str]
    alt: str
    caption: str = ""
    is_placeholder: bool = False

    @classmethod
    def of(cls, attributes: str, sources: list[str]) -> "PageImage | None":
        """From the attributes of an <img> and of its <source>s as they stand in the page; None for a tracking pixel."""
        own = _attributes(attributes)
        if _TINY.fullmatch(own.get("width", "")) and _TINY.fullmatch(own.get("height", "")):
            return None
        sets = [own.get("srcset", ""), *(own.get(name, "") for name in _LAZY_SETS)]
        for source in sources:
            given = _attributes(source)
            sets += [given.get("srcset", ""), *(given.get(name, "") for name in _LAZY_SETS)]
        candidates = [c for given in sets if given for c in _candidates(given)]
        src = own.get("src", "").strip()
        is_placeholder = _PLACEHOLDER.match(src) is not None
        lazy = [own[name].strip() for name in _LAZY if own.get(name)]
        real = [] if is_placeholder else [src]
        largest = [address for _, address in sorted(candidates, key=lambda c: -c[0])]
        plain = [address for address in (*lazy, *real) if address]
        addresses = list(dict.fromkeys([*largest, *plain]))
        if not addresses and src:
            addresses = [src]
        image = cls(
            addresses,
            clean_text(html.unescape(own.get("alt", ""))),
            is_placeholder=is_placeholder and not (largest or lazy),
        )
        image.caption = clean_text(html.unescape(own.get("title", ""))) if own.get("title") != own.get("alt") else ""
        return image

    def shares_address(self, other: "PageImage") -> bool:
        return not set(self.addresses).isdisjoint(other.addresses)

    def learn(self, other: "PageImage") -> None:
        """Take the addresses of the same image's other form."""
        own = [] if self.is_placeholder else self.addresses
        self.addresses = list(dict.fromkeys([*own, *other.addresses]))
        self.alt = self.alt or other.alt
        self.is_placeholder = False

    def node(self) -> ImageNode:
        return ImageNode(
            self.addresses[0] if self.addresses else "",
            self.alt,
            caption=self.caption,
            others=tuple(self.addresses[1:8]),
        )


def _attributes(text: str) -> dict[str, str]:
    return {name: html.unescape(value) if "&" in value else value for name, value in _ATTRIBUTE.findall(text)}


def _candidates(srcset: str) -> list[tuple[float, str]]:
    """(width in px, or density times 1,000,  address) of each candidate of a srcset; one without a size is 1x."""
    found = []
    for address, size, unit in _CANDIDATE.findall(srcset[:20_000]):
        value = min(float(size), 1e6) if size and size.count(".") < 2 and size != "." else 1.0
        found.append((value if unit == "w" else value * 1_000, address))
    return found
