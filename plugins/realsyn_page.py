"""Registers the page: an app under /realsyn, a view in the navigation, tabs on Dag Run pages, and links on tasks."""

import asyncio
from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink

PREFIX = "/realsyn"


class OnFirstRequest:
    """The app, made when somebody asks for it: a plugin is imported by every process of Airflow."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            self._app = await asyncio.to_thread(_create_app)
        await self._app(scope, receive, send)


def _create_app() -> Any:
    from realsyn_ops.page.app import create_app

    return create_app()


def address(path: str) -> str:
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}{PREFIX}/{path}"


class RejectsLink(BaseOperatorLink):
    """From a task to what its day refused."""

    name = "RealSyn: days and rejects"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return address("days")


class RealSynPage(AirflowPlugin):
    name = "realsyn_page"
    fastapi_apps = [{"app": OnFirstRequest(), "url_prefix": PREFIX, "name": "RealSyn"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {"name": "RealSyn", "href": address(""), "destination": "nav", "url_route": "realsyn", "category": "browse"},
        {"name": "RealSyn", "href": address("runs?dag={DAG_ID}&run={RUN_ID}"), "destination": "dag_run",
         "url_route": "realsyn-run"},
    ]  # fmt: skip
    global_operator_extra_links = [RejectsLink()]  # noqa: RUF012
