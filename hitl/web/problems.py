"""What the web room says no with, and how it says so: RFC 9457 problems, never a value."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from hitl.errors import Refused

PROBLEM = "application/problem+json"


class RequestRefused(Refused):
    """A request is answered with a 4xx or 503. `code` is for programs, `detail` for people.

    `retry_after_seconds` is told to the client where waiting helps.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["Retry-After"] = str(retry_after_seconds)


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer itself."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=PROBLEM)
