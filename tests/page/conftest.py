"""One real API server of Airflow with the page, over a corpus of attacks in a real SeaweedFS; a client of each role."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from realsyn_ops.cli.page_server import page_server, sign_in
from realsyn_ops.cli.services import USERS, Stack
from realsyn_ops.io.storage import Bucket
from tests.page.corpus_with_release import write_corpus
from tests.page.hostile_corpus import give_addresses, put_attacks

PREFIX = "/realsyn"


@dataclass
class Page:
    """``clients``: by user; "" is not signed in."""

    url: str
    bucket: Bucket
    release: str
    clients: dict[str, httpx.Client]


@pytest.fixture(scope="session")
def page(store: Stack) -> Iterator[Page]:
    bucket, release = write_corpus(store, "hostile-page", put_attacks)
    give_addresses(bucket)
    with page_server(store, bucket=bucket.name) as url:
        clients = {"": httpx.Client(base_url=url + PREFIX, trust_env=False, timeout=120)}
        for user in USERS:
            token = sign_in(url, user, store.endpoints.admin_password)
            clients[user] = httpx.Client(
                base_url=url + PREFIX, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=120
            )
        deadline = time.monotonic() + 300
        while clients["admin"].get("/pairs").status_code == 503 and time.monotonic() < deadline:
            time.sleep(1)  # until the gallery's index is made
        yield Page(url, bucket, release, clients)
        for client in clients.values():
            client.close()
