"""Pages written by hand with what a reader takes from them: how much of it we keep, and how much else.

`pages/NAME.html` beside `pages/NAME.txt`, a node a line: a text, or an image's address in brackets. The pages called
`held-*` were written first and their expectations before any rule was tuned on the others.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from realsyn_ops.io.html import read_html
from realsyn_ops.records import ImageNode

PAGES = sorted((Path(__file__).parent / "pages").glob("*.html"))
WORD = re.compile(r"\w+")


def words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.lower()))


def found_and_expected(page: Path) -> tuple[Counter[str], Counter[str], list[str], list[str]]:
    """Words and images that we read, and those that are right."""
    nodes = read_html(page.read_bytes()).nodes
    lines = page.with_suffix(".txt").read_text().splitlines()
    is_image = [line.startswith("[") and line.endswith("]") and " " not in line for line in lines]
    return (
        words(" ".join(node.text for node in nodes if not isinstance(node, ImageNode))),
        words(" ".join(line for line, image in zip(lines, is_image, strict=True) if not image)),
        [node.src for node in nodes if isinstance(node, ImageNode)],
        [line[1:-1] for line, image in zip(lines, is_image, strict=True) if image],
    )


def precision_and_recall(pages: list[Path]) -> tuple[float, float]:
    n_found = n_expected = n_common = 0
    for page in pages:
        found, expected, _, _ = found_and_expected(page)
        n_found += found.total()
        n_expected += expected.total()
        n_common += (found & expected).total()
    return n_common / n_found, n_common / n_expected


def test_there_are_pages_of_forty_kinds() -> None:
    assert len(PAGES) >= 40
    assert sum(page.name.startswith("held-") for page in PAGES) >= 10


@pytest.mark.parametrize("prefix", ["", "held-"], ids=["all", "held out"])
def test_content_words_are_kept_and_little_else(prefix: str) -> None:
    precision, recall = precision_and_recall([page for page in PAGES if page.name.startswith(prefix)])
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_is_lost_and_its_images_stand_in_order(page: Path) -> None:
    found, expected, images, expected_images = found_and_expected(page)
    common = (found & expected).total()
    assert common >= 0.8 * expected.total()
    assert common >= 0.8 * found.total()
    assert images == expected_images
