"""What tests share: one real SeaweedFS for each process that runs them, and an empty bucket for each test that asks."""

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
    """Two processes share the tests: those of one group run in one of them, in their order, the longest group first."""
    wants_long = config.getoption("--long")
    chosen = [item for item in items if bool(item.get_closest_marker("long")) == wants_long]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = sorted(chosen, key=lambda item: not uses_demo(item))
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("demo" if uses_demo(item) else item.path.stem))


def uses_demo(item: pytest.Item) -> bool:
    return "demo" in getattr(item, "fixturenames", ())
