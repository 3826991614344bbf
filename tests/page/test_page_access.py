"""Every route of the app, listed from the app itself: refused without a login, and to each role as documented."""

import re

import pytest
from fastapi.routing import APIRoute

from realsyn_ops.page.app import create_app
from tests.page.conftest import Page

ROUTES = sorted(
    (method, route.path) for route in create_app().routes if isinstance(route, APIRoute) for method in route.methods
)
DOCUMENTED = {("GET", "/what-if"): "operate", ("POST", "/takedowns"): "take down"}
"""Every other route is for whoever may read."""


def call(page: Page, user: str, method: str, path: str) -> int:
    path = path.replace("{key}", "i" + 32 * "0")
    return page.clients[user].request(method, path, data={} if method == "POST" else None).status_code


def test_every_route_is_one_that_fastapi_guards() -> None:
    assert all(isinstance(route, APIRoute) for route in create_app().routes)
    assert len(ROUTES) >= 15


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{m} {p}" for m, p in ROUTES])
def test_a_route_is_refused_without_a_login_and_to_roles_as_documented(page: Page, method: str, path: str) -> None:
    assert call(page, "", method, path) == 401
    allowed = {"admin", "operator"} | ({"viewer"} if (method, path) not in DOCUMENTED else set())
    for user in ("admin", "operator", "viewer"):
        status = call(page, user, method, path)
        assert (status not in {401, 403}) == (user in allowed), (user, status)
        assert status < 500, (user, status)


def test_a_forged_token_is_refused(page: Page) -> None:
    answer = page.clients[""].get("/", headers={"Authorization": "Bearer e30.e30.e30"})
    assert answer.status_code in {401, 403}


@pytest.mark.parametrize(
    "path",
    [
        "/images/%2e%2e%2fpasswd", "/images/i' OR key != '", "/images/i" + 31 * "0",
        "/pairs/i" + 32 * "Z" + "/alike", "/?version=../x", "/rejects?day=2025-99-99", "/rejects?reason=%27",
        "/what-if?day=2025-02-18&dag=takedown&limit=x&value=1", "/pairs?cluster=1%20OR%201",
        "/pairs?min_similarity=nan",
    ],
)  # fmt: skip
def test_what_is_no_key_day_or_number_is_refused(page: Page, path: str) -> None:
    assert page.clients["admin"].get(path).status_code in {404, 422}


def test_too_long_a_body_is_not_read(page: Page) -> None:
    answer = page.clients["admin"].post("/seek", content=b"x" * (9 * 2**20))
    assert answer.status_code == 413


def test_a_form_of_another_site_starts_nothing(page: Page) -> None:
    asked = {"kind": "domains", "value": "example.org"}
    answer = page.clients["admin"].post("/takedowns", data=asked, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_every_answer_has_safe_headers(page: Page) -> None:
    for user, path in (("admin", "/"), ("admin", "/pairs"), ("", "/"), ("admin", "/images/nothing")):
        headers = page.clients[user].get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert not re.search("unsafe|data:|https?:", policy)
        assert headers["x-content-type-options"] == "nosniff"
