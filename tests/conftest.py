"""What tests share: one real SeaweedFS for each process that runs them, and an empty bucket for each test that asks."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from realsyn_ops.cli.services import Stack
from realsyn_ops.io.storage import Bucket

ON_AIRFLOW = "tests/flow/"
IN_ONE_PROCESS = (ON_AIRFLOW, "tests/page/", "tests/ray/")
EQUALITY = f"{ON_AIRFLOW}test_equality.py"
"""Takes as long as all other endurance tests, of which most share a finished demo: two processes share them so."""

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only the object store runs. Each bucket takes volumes of its own: there are hundreds."""
    stack = Stack(tmp_path_factory.mktemp("store"), max_volumes=10_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1")  # volumes that a new bucket gets, of seven
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
    """Either kind of tests; those on Airflow first: they take the longest."""
    wants_long = config.getoption("--long")
    chosen = [item for item in items if bool(item.get_closest_marker("long")) == wants_long]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = sorted(chosen, key=lambda item: not item.nodeid.startswith(ON_AIRFLOW))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Scheduling(config, log)


class Scheduling(LoadScopeScheduling):
    """Which tests run in one process, in their order: those of a file, and those that share a demo or a server."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        if file == EQUALITY:
            return file
        return next((folder for folder in IN_ONE_PROCESS if file.startswith(folder)), file)
