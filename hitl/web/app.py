"""The web application, made of plain callables: it knows no other room and no address."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from hitl.errors import HitlError
from hitl.web.figures import Figures, Metrics
from hitl.web.guard import Guard, answer_to
from hitl.web.problems import RequestRefused

# Prometheus reads the version of its text format from here.
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    *, check: Callable[[], None], figures: Mapping[str, Figures], version: str
) -> FastAPI:
    """The application of `hitl serve`.

    Args:
        check: returns if the database answers and has this version's schema; raises HitlError.
        figures: what /metrics adds to this process's own counts, by the source's name.
        version: what /openapi.json says this is.
    """
    metrics = Metrics(figures)
    app = FastAPI(
        title="hitl",
        version=version,
        # Swagger's and Redoc's pages load scripts from elsewhere; the description itself stays.
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, observe=metrics.observe)

    async def refuse(request: Request, fault: Exception) -> Response:
        return answer_to(fault)

    for kind in (RequestRefused, HTTPException):
        app.add_exception_handler(kind, refuse)

    @app.get("/healthz", summary="Whether this can do its work", tags=["operators"])
    async def healthz() -> Response:
        try:
            await run_in_threadpool(check)
        except HitlError as reason:
            said = {"status": "fail", "error": type(reason).__name__, "reason": str(reason)}
            return JSONResponse(said, 503, headers={"Retry-After": "5"})
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", summary="Figures for Prometheus", tags=["operators"])
    async def exposition() -> Response:
        return Response(await run_in_threadpool(metrics.exposition), media_type=_EXPOSITION)

    return app
