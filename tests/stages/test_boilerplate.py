"""Sentences that a site says on its pages again and again."""

import pyarrow as pa
import pytest

from realsyn_ops.records import Reason
from realsyn_ops.stages.boilerplate import boilerplate_reason, site_of, site_shares


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.Example.org/a?b#c", "example.org"),
        ("http://blog.example.org:8080/a", "blog.example.org"),
        ("https://user:word@example.org/", "example.org"),
        ("", "books"),
        ("pages/a.html", "books"),
        ("file:///tmp/a.html", "books"),
        ("http://[::1/a", "books"),
    ],
)
def test_a_site_is_a_host_or_else_a_source(url: str, site: str) -> None:
    assert site_of(url, "books") == site


def tables(places: dict[str, str], pages: dict[str, int]) -> tuple[pa.Table, pa.Table]:
    """``places``: sentence -> its documents, blanks between; ``pages``: site -> how many it has, `x0` to `xN`."""
    nodes = [(key, document) for key, documents in places.items() for document in documents.split()]
    sites = [(f"{site}{i}", site) for site, n in pages.items() for i in range(n)]
    return (
        pa.table({"key": [k for k, _ in nodes], "document_key": [d for _, d in nodes]}),
        pa.table({"document_key": [d for d, _ in sites], "site": [s for _, s in sites]}),
    )


def test_a_share_counts_pages_and_not_places() -> None:
    nodes, sites = tables({"s1": "a0 a0 a0 a1", "s2": "a3"}, {"a": 4})
    assert site_shares(nodes, sites, min_site_pages=4) == {"s1": 0.5, "s2": 0.25}


def test_the_site_that_says_it_most_decides_and_small_ones_do_not() -> None:
    nodes, sites = tables({"s": "a0 a1 b0 b1 b2 c0"}, {"a": 10, "b": 10, "c": 1})
    assert site_shares(nodes, sites, min_site_pages=10) == {"s": 0.3}
    assert site_shares(nodes, sites, min_site_pages=11) == {}
    assert site_shares(nodes, sites, min_site_pages=1) == {"s": 1.0}


def test_shares_of_a_part_are_those_of_the_whole() -> None:
    nodes, sites = tables({f"s{i}": " ".join(f"a{j}" for j in range(i)) for i in range(1, 9)}, {"a": 8})
    whole = site_shares(nodes, sites, min_site_pages=2)
    parts: dict[str, float] = {}
    for start in range(0, 8, 3):
        keys = {f"s{i}" for i in range(start + 1, start + 4)}
        parts |= site_shares(nodes.filter([key in keys for key in nodes["key"].to_pylist()]), sites, min_site_pages=2)
    assert parts == whole == {f"s{i}": i / 8 for i in range(1, 9)}


def test_no_places_have_no_shares() -> None:
    nodes, sites = tables({}, {"a": 3})
    nodes = nodes.cast(pa.schema([("key", pa.string()), ("document_key", pa.string())]))
    assert site_shares(nodes, sites, min_site_pages=1) == {}


@pytest.mark.parametrize(("share", "broken"), [(0.1, None), (0.11, (Reason.BOILERPLATE, 0.11)), (0.0, None)])
def test_boilerplate_stands_on_more_than_the_limit(share: float, broken: object) -> None:
    assert boilerplate_reason(share, max_site_share=0.1) == broken
