"""Around every request: headers that keep browsers out, figures, and no fault's words told."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hitl import logs
from hitl.errors import HitlError, Unavailable
from hitl.faults import place_of
from hitl.web.problems import RequestRefused, problem

log = logs.get(__name__)

AWAY_SECONDS = 5
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]

Observe = Callable[[str, str, int, float], None]


class Guard:
    """Around the routes. A fault that passes it, the server would log with its words.

    `observe` is told (method, route, status, seconds); the route is ours, such as `/healthz`,
    or `other`, never what was asked for.
    """

    def __init__(
        self, app: ASGIApp, *, observe: Observe, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._app = app
        self._observe = observe
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = self._clock()
        status = 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            try:
                await self._app(scope, receive, guarded)
            except Exception as fault:  # noqa: BLE001 - its words may hold content: they end here
                if status:
                    # The answer has begun: all that is left is to break it off.
                    log.error("answer_broke", place=place_of(fault))
                    raise ConnectionError("an answer broke off") from None
                await answer_to(fault)(scope, receive, guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._observe(scope["method"], route, status, self._clock() - begun)


def answer_to(fault: Exception) -> Response:
    """What a client is told of an error, by what it should do."""
    match fault:
        case RequestRefused():
            return problem(fault.status, fault.code, fault.detail, fault.headers)
        case HTTPException():
            said = {404: ("not_found", "there is nothing here"), 405: ("method", "not this method")}
            code, detail = said.get(fault.status_code, ("refused", "this cannot be answered"))
            return problem(fault.status_code, code, detail, fault.headers)
        case Unavailable():
            log.warning("request_not_now", error=type(fault).__name__)
            detail = (
                "what this needs does not answer; send the same again, it is not taken in twice"
            )
            return problem(503, "unavailable", detail, {"Retry-After": str(AWAY_SECONDS)})
        case HitlError():
            # Its words are for the operator: they may name where our database is.
            log.error("request_refused_by_us", error=type(fault).__name__, reason=str(fault))
            detail = (
                "our side refuses this now; send the same again later, it is not taken in twice"
            )
            return problem(503, "refused_by_us", detail, {"Retry-After": "60"})
        case _:
            log.error("request_broke", place=place_of(fault))
            return problem(500, "fault", "a fault of the program")
