"""`POST /v1/decisions`: from a request to rows and a key, and from what became of them to 202."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from fastapi import Request, Response
from starlette.responses import JSONResponse

from hitl.errors import Refused
from hitl.web.allowance import Allowance
from hitl.web.bodies import json_of, read_body
from hitl.web.figures import Metrics
from hitl.web.problems import RequestRefused
from hitl.web.tokens import Tokens

_KEY = re.compile(r"[A-Za-z0-9._:\-]{1,100}")
_AT_ONCE = 4  # bodies in memory and transactions in the database
_OUTCOMES = ("new", "known", "conflicts", "rejected")


@dataclass(frozen=True, slots=True)
class Push:
    """What a producer sent. `key` is its own, or made of the body where it gave none."""

    producer: str
    key: str
    body_hash: str
    rows: list[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it is told. `is_repeat`: this key was answered before, and nothing was done now."""

    body: Mapping[str, Any]
    is_repeat: bool


class KeyTaken(Refused):
    """The idempotency key was used for another body."""

    def __init__(self, producer: str, key: str) -> None:
        super().__init__(
            f"{producer}: this idempotency key was used for another body; give every body one of "
            "its own"
        )
        self.producer = producer
        self.key = key


TakeIn = Callable[[Push], Answer]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one producer may send at once and on the whole. Bytes, rows, seconds."""

    body_bytes: int = 8 * 2**20
    rows: int = 10_000
    body_seconds: float = 30.0
    wait_seconds: float = 5.0


@dataclass(frozen=True)
class PushDoor:
    """All that the route needs. `take_in` commits before it returns, and repeats by key."""

    tokens: Tokens
    allowance: Allowance
    take_in: TakeIn
    limits: Limits = Limits()


class Route:
    """The route of one door."""

    def __init__(self, door: PushDoor, metrics: Metrics) -> None:
        self._door = door
        self._metrics = metrics
        self._room = anyio.Semaphore(_AT_ONCE)
        self._threads = anyio.CapacityLimiter(_AT_ONCE)

    async def __call__(self, request: Request) -> Response:
        """Answer 202 once everything is committed."""
        # Each step costs more than the one before: who is refused is refused cheaply.
        producer = self._door.tokens.producer_of(request.headers.get("authorization"))
        self._check_allowance(producer)
        key = _key(request.headers.get("idempotency-key"))
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise RequestRefused(415, "not_json", "send Content-Type: application/json")
        await self._enter()
        try:
            return await self._answer(request, producer, key)
        finally:
            self._room.release()

    def _check_allowance(self, producer: str) -> None:
        seconds = self._door.allowance.wait_seconds(producer)
        if seconds:
            detail = "more rows than this producer may push in a while; wait, then send it again"
            raise RequestRefused(429, "too_many", detail, retry_after_seconds=seconds)

    async def _enter(self) -> None:
        with anyio.move_on_after(self._door.limits.wait_seconds):
            await self._room.acquire()
            return
        detail = "too many pushes at once; send the same again"
        raise RequestRefused(503, "busy", detail, retry_after_seconds=1)

    async def _answer(self, request: Request, producer: str, key: str | None) -> Response:
        limits = self._door.limits
        body = await read_body(request, limit=limits.body_bytes, seconds=limits.body_seconds)
        # What turns out to be no rows was read and parsed all the same.
        spent: float = len(body) / 1024
        try:
            push, answer = await anyio.to_thread.run_sync(
                self._take_in, producer, key, body, limiter=self._threads
            )
            spent = len(push.rows)
        finally:
            self._door.allowance.spend(producer, max(1.0, spent))
        if not answer.is_repeat:
            self._count(producer, answer.body)
        headers = {"Idempotency-Replayed": "true"} if answer.is_repeat else None
        return JSONResponse(dict(answer.body), 202, headers=headers)

    def _take_in(self, producer: str, key: str | None, body: bytes) -> tuple[Push, Answer]:
        digest = hashlib.sha256(body).hexdigest()
        rows = _rows(json_of(body), most=self._door.limits.rows)
        push = Push(producer, key or f"sha256:{digest}", digest, rows)
        try:
            return push, self._door.take_in(push)
        except KeyTaken as taken:
            raise RequestRefused(409, "key_taken", str(taken)) from None

    def _count(self, producer: str, answer: Mapping[str, Any]) -> None:
        for kind in ("contents", "decisions"):
            for outcome in _OUTCOMES:
                counted = answer[kind][outcome]
                self._metrics.rows.labels(producer, kind, outcome).inc(counted)


def _key(given: str | None) -> str | None:
    if given is None or _KEY.fullmatch(given):
        return given
    detail = "Idempotency-Key: 1 to 100 letters, digits and . _ : - (a UUID, say)"
    raise RequestRefused(400, "bad_key", detail)


def _rows(body: Any, *, most: int) -> list[Any]:
    rows = body.get("decisions") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        detail = 'write {"decisions": [...]}, with one row at least'
        raise RequestRefused(422, "not_a_batch", detail)
    if len(rows) > most:
        detail = f"{len(rows):,} rows, {most:,} at most; send them in several batches"
        raise RequestRefused(422, "too_many_rows", detail)
    return rows
