"""The web application, made of plain callables: it knows no other room and no address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from hitl.errors import HitlError
from hitl.web import description
from hitl.web import push as push_route
from hitl.web import webhook as webhook_route
from hitl.web.figures import Figures, Metrics
from hitl.web.guard import Guard, answer_to
from hitl.web.problems import RequestRefused
from hitl.web.push import PushDoor
from hitl.web.webhook import WebhookDoor

# Prometheus reads the version of its text format from here.
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    *,
    check: Callable[[], None],
    figures: Mapping[str, Figures],
    version: str,
    push: PushDoor | None = None,
    webhook: WebhookDoor | None = None,
) -> FastAPI:
    """The application of `hitl serve`.

    Args:
        check: returns if the database answers and has this version's schema; raises HitlError.
        figures: what /metrics adds to this process's own counts, by the source's name.
        version: what /openapi.json says this is.
        push: how producers push; None: they cannot.
        webhook: what a webhook of Label Studio wakes; None: it is not listened to.
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

    if push is not None:
        app.add_api_route(
            "/v1/decisions",
            push_route.Route(push, metrics).__call__,
            methods=["POST"],
            status_code=202,
            name="push_decisions",
            summary="Push decisions, and content if you like",
            tags=["producers"],
            response_model=None,
            openapi_extra=description.PUSH,
        )
    if webhook is not None:
        app.add_api_route(
            "/webhooks/label-studio",
            webhook_route.Route(webhook).__call__,
            methods=["POST"],
            status_code=204,
            name="label_studio_webhook",
            summary="A hint of Label Studio's that something changed",
            tags=["Label Studio"],
            response_model=None,
            openapi_extra=description.WEBHOOK,
        )
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Let the description say how producers log in: we look ourselves, before FastAPI would."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        said = made()
        said.setdefault("components", {})["securitySchemes"] = description.SECURITY_SCHEMES
        return said

    app.openapi = openapi  # type: ignore[method-assign]
