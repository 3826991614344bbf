"""Boilerplate: sentences that stand on a large share of a site's pages. Perplexity takes them for good text.

What stands on so many pages of a day is said once by the site, not by its pages: licence lines, calls to subscribe,
"These options are described in ...". Menus and footers are gone before, with the page's frame.
"""

from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.records import Reason


def site_of(url: str, source: str) -> str:
    """The host of a document's URL without "www.", or else its source."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host.removeprefix("www.") or source


def site_shares(nodes: pa.Table, sites: pa.Table, *, min_site_pages: int) -> dict[str, float]:
    """Key of a sentence -> the largest share of a site's pages that hold it, among sites of enough pages.

    ``nodes`` (key, document_key) are places of sentences, all of those that are asked about; ``sites`` (document_key,
    site) all pages of the day. Sentences of smaller sites are left out.
    """
    pages = sites.group_by("site").aggregate([([], "count_all")]).rename_columns(["site", "n_pages"])
    pages = pages.filter(pc.greater_equal(pages["n_pages"], min_site_pages))
    places = nodes.select(["key", "document_key"]).group_by(["key", "document_key"]).aggregate([])
    places = places.join(sites, "document_key", join_type="inner")
    found = places.group_by(["key", "site"]).aggregate([([], "count_all")]).join(pages, "site", join_type="inner")
    shares: dict[str, float] = {}
    for row in found.to_pylist():
        shares[row["key"]] = max(shares.get(row["key"], 0.0), row["count_all"] / row["n_pages"])
    return shares


def boilerplate_reason(share: float, *, max_site_share: float) -> tuple[Reason, float] | None:
    return None if share <= max_site_share else (Reason.BOILERPLATE, share)
