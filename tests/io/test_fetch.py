import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from realsyn_ops.io.fetch import Fetched, FetchLimits, FetchPolicy, Known, fetch_images
from realsyn_ops.records import Reason, image_key
from tests.io.http2_site import Http2Server
from tests.io.misbehaving import ETAG, LAST_MODIFIED, MisbehavingServer, picture

LIMITS = FetchLimits(max_bytes=100_000, timeout_s=60, connect_timeout_s=60, max_connections=32, max_per_host=16)
IMPATIENT = replace(LIMITS, timeout_s=1.5)


class Site:
    """A misbehaving server in a thread of its own."""

    def __init__(self, server: MisbehavingServer | None = None, **tls: Any) -> None:
        self.server = server or MisbehavingServer()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self.server.start(**tls), self.loop).result()
        self.place = f"127.0.0.1:{self.port}"
        self.address = f"http{'s' if tls else ''}://{self.place}"

    def fetch(self, *paths: str, limits: FetchLimits = LIMITS, **more: Any) -> list[Fetched]:
        known = {self.address + path: value for path, value in more.pop("known", {}).items()}
        options = {name: more.pop(name) for name in ("lookup", "tls") if name in more}
        policy = FetchPolicy(**{"user_agent": "RealSynOps/0.1", "allowed": (self.place,), **more})
        urls = [self.address + path if path.startswith("/") else path for path in paths]
        answers = {a.url: a for a in fetch_images(urls, limits=limits, policy=policy, known=known, **options)}
        assert len(answers) == len(urls)
        return [answers[url] for url in urls]

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


def test_each_address_is_answered_byte_for_byte(site: Site) -> None:
    paths = [f"/{'slow' if i % 7 == 0 else 'ok'}/{i}.jpg" for i in range(100)]
    fetched = site.fetch(*paths)
    assert [(f.url, f.data) for f in fetched] == [(site.address + path, picture(path)) for path in paths]
    assert {(f.status, f.etag, f.last_modified, f.n_tries, f.reason) for f in fetched} == {
        (200, ETAG, LAST_MODIFIED, 1, None)
    }


def test_nothing_is_asked_for_nothing(site: Site) -> None:
    assert site.fetch() == []
    assert not site.server.asked


@pytest.mark.parametrize(
    ("path", "reason", "detail", "n_tries"),
    [
        ("/status/404", Reason.FETCH_NOT_FOUND, "status 404", 1),
        ("/status/403", Reason.FETCH_NOT_FOUND, "status 403", 1),
        ("/status/451", Reason.FETCH_NOT_FOUND, "status 451", 1),
        ("/status/500", Reason.FETCH_FAILED, "status 500", 3),
        ("/status/503", Reason.FETCH_FAILED, "status 503", 3),
        ("/status/418", Reason.FETCH_FAILED, "status 418", 1),
        ("/status/206", Reason.FETCH_FAILED, "status 206", 1),
        ("/wait/1", Reason.FETCH_FAILED, "status 503", 1),
        ("/loop/1", Reason.FETCH_REDIRECTS, "in a circle", 1),
        ("/far/1", Reason.FETCH_REDIRECTS, "more than 5 redirects", 1),
        ("/to/file:///etc/passwd", Reason.FETCH_ADDRESS, "redirected to file:///etc/passwd", 1),
        ("/to/ftp://example.org/a", Reason.FETCH_ADDRESS, "neither http nor https: ftp", 1),
        ("/to/http://169.254.169.254/latest/meta-data/", Reason.FETCH_ADDRESS, "which is not public", 1),
        ("/to/http://[::ffff:169.254.169.254]/", Reason.FETCH_ADDRESS, "which is not public", 1),
        ("/to/http://localhost:1234/admin", Reason.FETCH_ADDRESS, "which is not public", 1),
        ("/to/http://2130706433:1234/admin", Reason.FETCH_ADDRESS, "which is not public", 1),
        ("/to/http://127.0.0.1:6379/", Reason.FETCH_ADDRESS, "another service", 1),
        ("/to/http://a:b@127.0.0.1/", Reason.FETCH_ADDRESS, "names a user", 1),
        ("/cut/1", Reason.FETCH_TRUNCATED, "body", 3),
        ("/cut-chunk/1", Reason.FETCH_TRUNCATED, "body", 3),
        ("/endless/1", Reason.IMAGE_TOO_LARGE, "more than 100000 bytes", 1),
        ("/claims-much/1", Reason.IMAGE_TOO_LARGE, "more than 100000 bytes", 1),
        ("/bomb/1", Reason.IMAGE_TOO_LARGE, "more than 100000 bytes", 1),
        ("/brotli/1", Reason.FETCH_FAILED, "content encoding 'br' was not asked for", 1),
        ("/drip/1", Reason.FETCH_FAILED, "no answer within 1.5 s", 3),
        ("/silent/1", Reason.FETCH_FAILED, "no answer within 1.5 s", 3),
        ("/long-header/1", Reason.FETCH_FAILED, "", 3),
        ("/many-headers/1", Reason.FETCH_FAILED, "", 3),
        ("/garbage/1", Reason.FETCH_FAILED, "", 3),
        ("/reset/1", Reason.FETCH_FAILED, "", 3),
        ("/noai/1", Reason.FETCH_ROBOTS, "X-Robots-Tag: noai", 1),
        ("/noimageai/1", Reason.FETCH_ROBOTS, "X-Robots-Tag: noimageai", 1),
        ("/noindex/1", Reason.FETCH_ROBOTS, "X-Robots-Tag: noindex", 1),
        ("/private/1", Reason.FETCH_ROBOTS, "robots.txt says no", 1),
        ("/to//private/1", Reason.FETCH_ROBOTS, "robots.txt says no", 1),
        ("file:///etc/passwd", Reason.FETCH_ADDRESS, "neither http nor https: file", 1),
        ("http://127.0.0.1:1234/a", Reason.FETCH_ADDRESS, "which is not public", 1),
        ("http://name.invalid/a", Reason.FETCH_NOT_FOUND, "name.invalid", 1),
    ],
)
def test_what_goes_wrong_has_its_reason_and_is_tried_again_only_where_that_can_help(
    site: Site, path: str, reason: Reason, detail: str, n_tries: int
) -> None:
    limits = IMPATIENT if "no answer" in detail else LIMITS
    good, fetched = site.fetch("/ok/1.jpg", path, limits=limits)
    assert good.data is not None
    assert (fetched.data, fetched.reason, fetched.n_tries) == (None, reason, n_tries)
    assert detail in fetched.detail
    assert fetched.detail


@pytest.mark.parametrize("path", ["/flaky/1", "/busy/1"])
def test_a_server_that_recovers_is_asked_again(site: Site, path: str) -> None:
    (fetched,) = site.fetch(path)
    assert (fetched.data, fetched.n_tries, site.server.asked[path]) == (picture(path), 2, 2)


def test_a_redirect_is_followed_and_the_last_address_kept(site: Site) -> None:
    (fetched,) = site.fetch("/moved/7.jpg")
    assert (fetched.data, fetched.final_url) == (picture("/ok/7.jpg"), f"{site.address}/ok/7.jpg")


def test_a_body_that_comes_packed_is_unpacked(site: Site) -> None:
    (fetched,) = site.fetch("/gzip/1.jpg")
    assert fetched.data == picture("/gzip/1.jpg")


def test_a_directive_for_another_crawler_is_not_ours(site: Site) -> None:
    (fetched,) = site.fetch("/others/1.jpg")
    assert fetched.data == picture("/others/1.jpg")


def test_bytes_that_are_no_image_are_left_to_the_extraction(site: Site) -> None:
    (fetched,) = site.fetch("/page/1")
    assert (fetched.data or b"")[:9] == b"<!doctype"


def test_an_image_that_is_known_is_asked_only_whether_it_changed(site: Site) -> None:
    known = {"/known/1": Known(etag=ETAG, last_modified=LAST_MODIFIED), "/known/2": Known(etag='"other"')}
    same, changed = site.fetch("/known/1", "/known/2", known=known)
    assert (same.is_unchanged, same.status, same.data) == (True, 304, None)
    assert site.server.headers["/known/1"]["if-modified-since"] == LAST_MODIFIED
    assert (changed.is_unchanged, changed.data) == (False, picture("/known/2"))


def test_who_asks_says_so(site: Site) -> None:
    site.fetch("/ok/1", user_agent="Example/1 (+https://example.org)")
    assert {h["user-agent"] for h in site.server.headers.values()} == {"Example/1 (+https://example.org)"}
    assert set(site.server.headers) == {"/ok/1", "/robots.txt"}


def test_a_site_that_cannot_say_what_it_allows_is_left_alone(site: Site) -> None:
    site.server.robots = (503, "")
    (fetched,) = site.fetch("/ok/1")
    assert (fetched.reason, fetched.detail) == (Reason.FETCH_ROBOTS, f"robots.txt answered 503: {site.address}")
    assert "/ok/1" not in site.server.asked


def test_who_opted_out_is_not_asked(site: Site) -> None:
    by_domain = site.fetch("/ok/1", opt_out_domains=("0.0.1", "Example.ORG"))[0]
    assert (by_domain.reason, site.server.asked.total()) == (Reason.FETCH_OPT_OUT, 0)
    by_key = site.fetch("/ok/1", opt_out_keys=(image_key(picture("/ok/1")),))[0]
    assert (by_key.reason, by_key.data) == (Reason.FETCH_OPT_OUT, None)


def test_no_more_requests_than_a_host_may_get_are_under_way(site: Site) -> None:
    limits = FetchLimits(max_bytes=100_000, max_per_host=3)
    fetched = site.fetch(*(f"/slow/{i}" for i in range(12)), limits=limits)
    assert all(f.data for f in fetched)
    assert site.server.most_open == 3


def test_bodies_not_yet_taken_are_bounded(site: Site) -> None:
    size = len(picture("/ok/100.jpg"))
    limits = FetchLimits(max_bytes=100_000, max_per_host=16, max_held_bytes=3 * size)
    urls = [f"{site.address}/ok/{i}.jpg" for i in range(100, 160)]
    policy = FetchPolicy(user_agent="RealSynOps/0.1", allowed=(site.place,))
    taken = set()
    for answer in fetch_images(urls, limits=limits, policy=policy):
        taken.add(answer.data)
        n_ahead = sum(site.server.asked.values()) - 1 - len(taken)
        assert n_ahead <= 3 + limits.max_per_host
    assert taken == {picture(f"/ok/{i}.jpg") for i in range(100, 160)}


def test_an_answer_does_not_wait_for_a_slow_one_before_it(site: Site) -> None:
    urls = [site.address + path for path in ("/silent/1", "/ok/1", "/ok/2")]
    policy = FetchPolicy(user_agent="RealSynOps/0.1", allowed=(site.place,))
    assert [a.url for a in fetch_images(urls, limits=IMPATIENT, policy=policy)][-1] == urls[0]


def test_who_stops_taking_leaves_nothing_behind(site: Site) -> None:
    urls = [f"{site.address}/slow/{i}" for i in range(50)]
    answers = fetch_images(urls, limits=LIMITS, policy=FetchPolicy(user_agent="x", allowed=(site.place,)))
    assert next(iter(answers)).data
    answers.close()  # type: ignore[attr-defined]
    assert sum(site.server.asked.values()) < 50


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a site")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "site.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def serving(certificate: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(list(protocols))
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(certificate: Path) -> None:
    site = Site(ssl=serving(certificate, "http/1.1"))
    (fetched,) = site.fetch("/ok/1")
    (trusted,) = site.fetch("/ok/1", tls=ssl.create_default_context(cafile=certificate))
    site.stop()
    assert (fetched.reason, fetched.n_tries) == (Reason.FETCH_ROBOTS, 1)
    assert "did not answer" in fetched.detail
    assert trusted.data == picture("/ok/1")


def test_a_site_that_speaks_http2_is_asked_for_many_images_on_few_connections(certificate: Path) -> None:
    server = Http2Server()
    site = Site(server, ssl=serving(certificate, "h2", "http/1.1"))
    paths = [f"/ok/{i}.jpg" for i in range(40)]
    fetched = site.fetch(*paths, tls=ssl.create_default_context(cafile=certificate))
    site.stop()
    assert [f.data for f in fetched] == [picture(path) for path in paths]
    assert server.n_connections == 1
    assert server.most_open > 4
