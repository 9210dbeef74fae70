"""Bodies: refused by their size before they are read, and by their form before they are used."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from fastapi import Request
from starlette.requests import ClientDisconnect

from hitl.web.problems import RequestRefused


async def read_body(request: Request, *, limit: int, seconds: float) -> bytes:
    """The whole body, `limit` bytes at most, within `seconds`.

    Raises:
        RequestRefused: 413 too large, 415 compressed, 408 too slow, 400 broken off.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        # Unpacked it may be any size; plain JSON is quick enough to send.
        raise RequestRefused(415, "compressed", "send the body as it is, without Content-Encoding")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, limit)
    except TimeoutError:
        detail = f"the body did not arrive within {seconds:g} seconds"
        raise RequestRefused(408, "too_slow", detail, headers=_HANG_UP) from None
    except ClientDisconnect:
        raise RequestRefused(400, "broken_off", "the body broke off") from None


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


# What is still on its way is not wanted: reading it all to be polite is what the limit is against.
_HANG_UP = {"Connection": "close"}


def _too_large(limit: int) -> RequestRefused:
    detail = f"the body is larger than {limit:,} bytes; send less at a time"
    return RequestRefused(413, "too_large", detail, headers=_HANG_UP)


def json_of(body: bytes) -> Any:
    """The body as JSON, of the strict kind: no NaN, no Infinity.

    Raises:
        RequestRefused: 400; where it breaks, never what stands there.
    """
    try:
        return json.loads(body, parse_constant=_no_constant)
    except json.JSONDecodeError as cause:
        where = f"line {cause.lineno}, column {cause.colno}"
        raise RequestRefused(400, "not_json", f"the body is not JSON ({where})") from None
    except _NotANumber:
        detail = "NaN and Infinity are not JSON; leave out what is not known"
        raise RequestRefused(400, "not_json", detail) from None
    except (ValueError, RecursionError):  # not UTF-8, a number of thousands of digits, too deep
        detail = "the body is not JSON in UTF-8 that could be read"
        raise RequestRefused(400, "not_json", detail) from None


class _NotANumber(Exception):
    """Python's JSON would take it, nobody else's does."""


def _no_constant(_: str) -> NoReturn:
    raise _NotANumber
