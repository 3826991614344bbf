"""The app: its routes, and what holds for all of them. Whoever may not read gets nothing, not even the stylesheet."""

import logging
import sqlite3

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.page.access import READ
from realsyn_ops.page.bodies import SmallBodies
from realsyn_ops.page.headers import SafeHeaders
from realsyn_ops.page.views import (
    balance,
    days,
    funnel,
    gallery,
    gates,
    images,
    rejects,
    releases,
    runs,
    seek,
    static,
    takedowns,
)

log = logging.getLogger(__name__)

VIEWS = (funnel, days, gallery, images, rejects, seek, balance, releases, takedowns, gates, runs, static)


def create_app() -> FastAPI:
    app = FastAPI(title="RealSyn", docs_url=None, redoc_url=None, openapi_url=None, dependencies=READ)
    for view in VIEWS:
        app.include_router(view.router)
    app.add_middleware(SmallBodies)
    app.add_middleware(SafeHeaders)
    app.add_exception_handler(PermanentError, _not_there)
    app.add_exception_handler(TransientError, _not_now)
    app.add_exception_handler(sqlite3.OperationalError, _not_now)
    return app


async def _not_there(request: Request, error: Exception) -> JSONResponse:
    log.warning("%s: %s", request.url.path, error)
    return JSONResponse({"detail": "what this view shows is not there, or cannot be read: the log says more"}, 404)


async def _not_now(request: Request, error: Exception) -> JSONResponse:
    log.warning("%s: %s", request.url.path, error)
    return JSONResponse(
        {"detail": "what this view is read from does not answer: try again"}, 503, {"Retry-After": "10"}
    )
