"""Which bucket and which Airflow a command acts on: those that the environment names, or this home's own.

A deployment's bucket is given as its Airflow processes have it, by the variable of the Connection
(``AIRFLOW_CONN_REALSYN_S3``) and ``REALSYN_BUCKET``; its Airflow by ``REALSYN_AIRFLOW_URL`` and
``REALSYN_AIRFLOW_TOKEN``. Without these it is the embedded default.
"""

import json
import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import PermanentError, ServiceError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.settings import settings


@contextmanager
def open_bucket(stack: Stack) -> Iterator[Bucket]:
    """The bucket. The embedded object store is started for as long as it takes; Airflow is not needed. Raises
    ServiceError when Airflow runs without its store: what is started for a moment would be taken away from its tasks.
    """
    connection = os.environ.get(_connection_variable())
    if connection:
        yield bucket_of(connection)
        return
    if not (stack.home / "seaweedfs").exists():
        raise PermanentError(
            f"nothing is under {stack.home} yet: run ./realsyn demo first, "
            f"or name a deployment's bucket by {_connection_variable()}"
        )
    was_running = stack.seaweed.pid() is not None
    if not was_running and stack.airflow.pid() is not None:
        raise ServiceError("the object store has stopped while Airflow runs: ./realsyn up starts it again")
    try:
        stack.up_store()
        yield stack.bucket
    finally:
        if not was_running:
            stack.seaweed.stop(grace_s=3)


def is_elsewhere() -> bool:
    """Whether the environment names a deployment, and not this home is meant."""
    return bool(os.environ.get(_connection_variable()))


def open_airflow(stack: Stack) -> AirflowApi:
    """Airflow's REST API, signed in."""
    url = os.environ.get("REALSYN_AIRFLOW_URL")
    if bool(url) != is_elsewhere():
        raise PermanentError(
            f"a deployment is named by both REALSYN_AIRFLOW_URL and {_connection_variable()}: only one of them is set"
        )
    if url:
        if not (token := os.environ.get("REALSYN_AIRFLOW_TOKEN")):
            raise PermanentError("REALSYN_AIRFLOW_URL needs a token in REALSYN_AIRFLOW_TOKEN")
        return AirflowApi(url, token=token)
    if stack.status()["airflow"] != "running":
        raise ServiceError("Airflow is not running: start it with ./realsyn up")
    return AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)


def bucket_of(connection: str) -> Bucket:
    """The bucket behind an Airflow Connection as a variable has it: a URI or JSON."""
    try:
        if connection.lstrip().startswith("{"):
            values = json.loads(connection)
            extra = values.get("extra") or {}
            extra = json.loads(extra) if isinstance(extra, str) else extra
            login, password = values.get("login"), values.get("password")
        else:
            parts = urllib.parse.urlsplit(connection)
            extra = dict(urllib.parse.parse_qsl(parts.query))
            extra |= json.loads(extra.pop("__extra__", "{}"))
            login, password = (urllib.parse.unquote(key or "") for key in (parts.username, parts.password))
    except (ValueError, AttributeError) as error:
        raise PermanentError(f"{_connection_variable()} is neither a URI nor JSON: {error}") from error
    region = extra.get("region_name", "us-east-1")
    return Bucket(settings().bucket, extra.get("endpoint_url"), login or None, password or None, region)


def _connection_variable() -> str:
    return f"AIRFLOW_CONN_{settings().s3_conn_id.upper()}"
