import asyncio

import pytest

from realsyn_ops.io.robots import Robots, tag_refusal

AGENT = "RealSynOps/0.1 (+https://example.org)"


def refusal(answer: tuple[int, bytes] | None, path: str = "/a.png") -> str:
    async def get(_origin: str) -> tuple[int, bytes] | None:
        return answer

    async def ask() -> str:
        return await Robots(AGENT, get).refusal("http://a.example", f"http://a.example{path}")

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("answer", "path", "why"),
    [
        ((200, b""), "/a.png", ""),
        ((200, b"User-agent: *\nDisallow: /"), "/a.png", "robots.txt says no"),
        ((200, b"User-agent: *\nDisallow: /private/"), "/a.png", ""),
        ((200, b"User-agent: *\nDisallow: /private/"), "/private/a.png", "robots.txt says no"),
        ((200, b"User-agent: realsynops\nDisallow: /"), "/a.png", "robots.txt says no"),
        ((200, b"User-agent: otherbot\nDisallow: /"), "/a.png", ""),
        ((200, b"User-agent: *\nDisallow: /\nAllow: /a.png"), "/a.png", ""),
        ((200, b"<!doctype html><title>no robots here</title>"), "/a.png", ""),
        ((200, b"\xff\xfe\x00Disallow"), "/a.png", ""),
        ((404, b""), "/a.png", ""),
        ((410, b""), "/a.png", ""),
        ((401, b""), "/a.png", "robots.txt answered 401"),
        ((403, b""), "/a.png", "robots.txt answered 403"),
        ((429, b""), "/a.png", "robots.txt answered 429"),
        ((500, b""), "/a.png", "robots.txt answered 500"),
        ((503, b""), "/a.png", "robots.txt answered 503"),
        (None, "/a.png", "robots.txt did not answer"),
    ],
)
def test_a_site_is_asked_first(answer: tuple[int, bytes] | None, path: str, why: str) -> None:
    assert refusal(answer, path) == why


def test_a_site_is_asked_once_by_all_who_come_at_once() -> None:
    n_asked = 0

    async def get(_origin: str) -> tuple[int, bytes] | None:
        nonlocal n_asked
        n_asked += 1
        await asyncio.sleep(0.01)
        return 200, b""

    async def many() -> list[str]:
        robots = Robots(AGENT, get)
        return await asyncio.gather(*(robots.refusal("http://a.example", f"http://a.example/{i}") for i in range(20)))

    assert asyncio.run(many()) == [""] * 20
    assert n_asked == 1


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([], ""),
        (["all"], ""),
        (["noai"], "noai"),
        (["nofollow, NoImageAI"], "noimageai"),
        (["noindex"], "noindex"),
        (["none"], "none"),
        (["nofollow", "noindex"], "noindex"),
        (["otherbot: noai"], ""),
        (["otherbot: nofollow, noai"], ""),
        (["realsynops: noai"], "noai"),
        (["*: noai"], "noai"),
        (["unavailable_after: 25 Jun 2040 15:00:00 GMT, noindex"], "noindex"),
        (["max-snippet: 5"], ""),
        (["noarchive"], ""),
    ],
)
def test_a_tag_on_an_image_forbids_its_use(tags: list[str], found: str) -> None:
    assert tag_refusal(tags, AGENT) == found
