"""Where an image of a release can be fetched, by the place it stands in."""

import pytest

from realsyn_ops.operators.provenance import Place


@pytest.mark.parametrize(
    ("url", "src", "expected"),
    [
        ("https://example.org/a/page.html", "img/x.png", "https://example.org/a/img/x.png"),
        ("https://example.org/a/page.html", "/x.png", "https://example.org/x.png"),
        ("https://example.org/a/page.html", "https://cdn.example/x.png", "https://cdn.example/x.png"),
        ("https://example.org/a/page.html", "data:image/png;base64,AA", "https://example.org/a/page.html#node-3"),
        ("s3://bucket/raw/d/s/pages.zip/a/page.html", "img/x.png", "s3://bucket/raw/d/s/pages.zip/a/img/x.png"),
        ("s3://bucket/raw/d/s/pages.zip/a/page.html", "../x.png", "s3://bucket/raw/d/s/pages.zip/x.png"),
        ("s3://bucket/raw/d/s/pages.zip/a/page.html", "https://cdn.example/x.png", "https://cdn.example/x.png"),
        ("s3://bucket/raw/d/s/pages.zip/a/page.html", "//cdn.example/x.png", "https://cdn.example/x.png"),
    ],
)
def test_an_image_is_fetched_from_where_its_document_says(url: str, src: str, expected: str) -> None:
    assert Place("d1", url, 3, src).image_url == expected
