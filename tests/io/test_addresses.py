import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.addresses import (
    Allowed,
    CheckedNetwork,
    RefusedAddressError,
    UnknownHostError,
    is_public,
    parse_target,
)

NOTHING = Allowed()


def resolver(*answers: str) -> Any:
    """A name server that gives one address after the other, and the last for ever."""
    left = list(answers)

    def lookup(host: str, port: int, *rest: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(None, None, None, "", (one, port)) for one in address.split()]

    return lookup


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",  # noqa: S104
        "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "203.0.113.7",
        "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.1.2.3", "::127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_public_internet(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "172.32.0.1"])
def test_addresses_of_the_public_internet(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "neither http nor https: file"),
        ("ftp://example.org/a.png", "neither http nor https: ftp"),
        ("gopher://example.org/1", "neither http nor https: gopher"),
        ("javascript:alert(1)", "neither http nor https: javascript"),
        ("/a.png", "neither http nor https: no scheme"),
        ("http:///a.png", "no host"),
        ("http://user:word@example.org/a.png", "names a user"),
        ("http://example.org@127.0.0.1/a.png", "names a user"),
        ("http://example.org:22/a.png", "port 22 is another service's"),
        ("http://example.org:6379/a.png", "port 6379 is another service's"),
        ("http://example.org:0/a.png", "port 0 is another service's"),
        ("http://example.org:99999/a.png", "no address"),
        ("http://example.org:x/a.png", "no address"),
        ("http://[::1/a.png", "no address"),
        ("http://exa mple.org/a.png", "no host"),
        ("http://example.org\\@127.0.0.1/", "names a user"),
        ("http://exa%00mple.org/", "no host"),
        ("http://example.org%2F@evil/", "names a user"),
        ("http://" + "a" * 300 + ".org/", "no host"),
        ("http://example.org/a b.png", "not escaped"),
        ("http://example.org/\r\nHost: evil", "not escaped"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(RefusedAddressError, match=why.replace(".", r"\.")):
        parse_target(url)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("http://example.org:80/a?b=c", "http://example.org/a?b=c"),
        ("https://example.org:8443/a", "https://example.org:8443/a"),
        ("http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"),
        ("http://①②⑦.⓪.⓪.①/a.png", "http://127.0.0.1/a.png"),
        ("http://%E2%91%A0.1.1.1/a.png", "http://1.1.1.1/a.png"),
        ("http://[2606:4700:0:0::1111]/a", "http://[2606:4700::1111]/a"),
        ("http://[::ffff:127.0.0.1]/a", "http://[::ffff:7f00:1]/a"),
        ("http://under_score.example.org/a", "http://under_score.example.org/a"),
    ],
)
def test_an_address_has_one_form(url: str, same: str) -> None:
    assert parse_target(url).url == same


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "localhost", "127.0.0.1", "0", "::1",
     "::ffff:127.0.0.1"],
)  # fmt: skip
def test_every_spelling_of_this_machine_is_refused_by_what_it_resolves_to(host: str) -> None:
    network = CheckedNetwork(NOTHING)
    with pytest.raises(RefusedAddressError, match="which is not public"):
        asyncio.run(network.connect_tcp(host, 80))


@pytest.mark.parametrize("answer", ["127.0.0.1", "8.8.8.8 10.0.0.1", "fe80::1%eth0", "::ffff:169.254.169.254"])
def test_a_name_with_one_address_that_is_not_public_is_refused(answer: str) -> None:
    network = CheckedNetwork(NOTHING, lookup=resolver(answer))
    with pytest.raises(RefusedAddressError):
        asyncio.run(network.connect_tcp("innocent.example", 80))


def test_a_name_that_changes_after_the_check_is_still_connected_at_the_checked_address() -> None:
    async def connections() -> tuple[list[str], int]:
        n_met = 0

        async def meet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal n_met
            n_met += 1
            writer.close()

        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        allowed = Allowed.parse(["127.0.0.2/32"])
        network = CheckedNetwork(allowed, lookup=resolver("127.0.0.2", "127.0.0.1"))
        checked = await network.resolve("rebinding.example", port)
        try:
            await network.connect_tcp("rebinding.example", port, timeout=2)
        except Exception as error:  # noqa: BLE001 - nobody listens at the checked address
            checked.append(type(error).__name__)
        server.close()
        return checked, n_met

    assert asyncio.run(connections()) == (["127.0.0.2", "ConnectError"], 0)


def test_a_name_is_checked_again_when_its_answer_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realsyn_ops.io.addresses._DNS_TTL_S", -1.0)
    network = CheckedNetwork(NOTHING, lookup=resolver("8.8.8.8", "127.0.0.1"))

    async def twice() -> list[str]:
        first = await network.resolve("rebinding.example", 80)
        await network.connect_tcp("rebinding.example", 80)
        return first

    with pytest.raises(RefusedAddressError, match=r"rebinding.example is 127\.0\.0\.1"):
        asyncio.run(twice())


def test_a_name_without_an_address_is_told_from_a_name_server_that_is_down() -> None:
    def failing(errno: int) -> Any:
        def lookup(*_: Any) -> list[Any]:
            raise socket.gaierror(errno, "no")

        return lookup

    with pytest.raises(UnknownHostError):
        asyncio.run(CheckedNetwork(NOTHING, lookup=failing(socket.EAI_NONAME)).resolve("a.example", 80))
    with pytest.raises(Exception, match="no") as caught:
        asyncio.run(CheckedNetwork(NOTHING, lookup=failing(socket.EAI_AGAIN)).resolve("a.example", 80))
    assert type(caught.value).__name__ == "ConnectError"


def test_what_is_allowed_is_allowed_and_no_more() -> None:
    allowed = Allowed.parse(["10.1.0.0/16", "localhost:8080", "[::1]:9000"])
    assert allowed.has(ip_address("10.1.2.3"), "intranet", 80)
    assert not allowed.has(ip_address("10.2.0.1"), "intranet", 80)
    assert allowed.has(ip_address("127.0.0.1"), "localhost", 8080)
    assert not allowed.has(ip_address("127.0.0.1"), "localhost", 8081)
    assert allowed.has(ip_address("::1"), "::1", 9000)


@pytest.mark.parametrize("entry", ["10.1.0.0/99", "localhost", "localhost:", ":80", "10.1.0.1/8"])
def test_an_allowance_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(PermanentError, match="REALSYN_FETCH_ALLOWED") as caught:
        Allowed.parse([entry])
    assert entry in str(caught.value)
