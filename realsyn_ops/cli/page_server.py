"""Airflow's API server alone, with the page: for looking at a bucket without a scheduler, and for measuring."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from realsyn_ops.cli.processes import Service
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.errors import ServiceError


@contextmanager
def page_server(stack: Stack, *, bucket: str = "", gallery_folder: Path | None = None) -> Iterator[str]:
    """The address of a server over the stack's store, which has to run; its users are the embedded default's."""
    folder = gallery_folder or stack.home / "gallery"
    env = stack.airflow_env() | {"REALSYN_BUCKET": bucket or stack.bucket_name, "REALSYN_GALLERY_PATH": str(folder)}
    stack.write_passwords()
    airflow = Path(sys.executable).parent / "airflow"
    done = subprocess.run([airflow, "db", "migrate"], env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"airflow db migrate failed: {done.stderr.strip()[-1500:]}")
    service = Service("page", stack.home / "run")
    service.start([str(airflow), "api-server", "--apps", "core"], env=env, cwd=stack.home)
    try:
        service.wait(lambda: _answers(stack.airflow_url), timeout_s=240)
        yield stack.airflow_url
    finally:
        service.stop()


def sign_in(url: str, user: str, password: str) -> str:
    """A token of this user."""
    asked = {"username": user, "password": password}
    answer = httpx.post(f"{url}/auth/token", json=asked, timeout=60, trust_env=False)
    answer.raise_for_status()
    return answer.json()["access_token"]


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/version", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
