"""One small demo on real Airflow and real SeaweedFS, shared by the tests of the whole flow."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.services import Stack
from tests.flow.harness import DOCUMENTS, Demo, demo_home, run_command
from tests.flow.receivers import Receivers


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = demo_home(tmp_path_factory.mktemp("demo"))
    stack = Stack(folder)
    receivers = Receivers()
    try:
        done = run_command(folder, "demo", "--documents", str(DOCUMENTS), "--keep", further=receivers.variables)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        report = json.loads(run_command(folder, "report", "--json").stdout)
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        yield Demo(stack, api, done.stdout, report, Path(report["release"]["path"]), receivers)
    finally:
        stack.down()
        receivers.close()


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of a demo from empty that nothing disturbed; its services are stopped."""
    folder = demo_home(tmp_path_factory.mktemp("calm"))
    done = run_command(folder, "demo", "--documents", str(DOCUMENTS))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder
