"""What tests share: one real SeaweedFS for the whole session, and an empty bucket for each test that asks."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from realsyn_ops.cli.services import Stack
from realsyn_ops.io.storage import Bucket

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only the object store runs. Each bucket takes volumes of its own: there are hundreds."""
    stack = Stack(tmp_path_factory.mktemp("store"), max_volumes=10_000)
    stack.up_store()
    yield stack
    stack.down()


@pytest.fixture
def bucket(store: Stack) -> Bucket:
    bucket = replace(store.bucket, name=f"test-{next(_numbers)}")
    bucket.create()
    return bucket


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the endurance tests and nothing else")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wants_long = config.getoption("--long")
    chosen = [item for item in items if bool(item.get_closest_marker("long")) == wants_long]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
