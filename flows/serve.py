"""`hitl serve`: the web application over a world, run by uvicorn until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import time
from collections.abc import Sequence
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from flows import steps
from flows.collecting.collector import AT_ONCE, Collector, Looks
from flows.push_decisions import push_decisions
from flows.wiring import World
from hitl import web
from hitl.db import begin, check_schema
from hitl.errors import Refused
from hitl.web.store import Wakeup

# Answers that are being written at a stop get this long.
_GRACE_SECONDS = 20
# Connections at a time; beyond it, 503. Each costs a few kilobytes until its body is read.
_CONNECTIONS = 256


class AddressRefused(Refused):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"{host}:{port} {why}; give another --port or --host")
        self.host = host
        self.port = port


def application(world: World, *, collector: Collector | None = None) -> FastAPI:
    """The web application over this world."""

    def in_database() -> list[web.Figure]:
        with begin(world.engine) as tx:
            return list(web.store.figures(tx))

    figures: dict[str, web.Figures] = {"database": in_database}
    if collector is not None:
        figures["collector"] = collector.figures

    def check() -> None:
        check_schema(world.engine)
        if collector is not None:
            collector.check()

    return web.create_app(
        check=check,
        figures=figures,
        version=version("hitl"),
        push=_push_door(world),
        webhook=_webhook_door(world, collector),
    )


def collector_of(world: World, *, poll_seconds: float) -> Collector:
    """What collects beside the web application, in a thread of its own once it is started."""

    def pending() -> list[Wakeup]:
        with begin(world.engine) as tx:
            return web.store.wakeups(tx, limit=AT_ONCE)

    def forget(followed: Sequence[Wakeup]) -> None:
        with begin(world.engine) as tx:
            web.store.forget_wakeups(tx, followed)

    looks = Looks(
        some=lambda task_ids: steps.collect_tasks(world, task_ids=task_ids),
        all=lambda: steps.collect_annotations(world),
        pending=pending,
        forget=forget,
    )
    return Collector(looks, clock=time.monotonic, poll_seconds=poll_seconds)


def _webhook_door(world: World, collector: Collector | None) -> web.WebhookDoor | None:
    secret = world.settings.webhook_secret
    if secret is None:
        return None
    from hitl.labelstudio import SECRET_HEADER  # its SDK takes seconds to import

    def wake(project_id: int, task_ids: Sequence[int]) -> None:
        with begin(world.engine) as tx:
            is_ours = web.store.wake(tx, project_id, task_ids)
        if is_ours and collector is not None:
            collector.nudge()

    return web.WebhookDoor(SECRET_HEADER, secret.get_secret_value(), wake)


def _push_door(world: World) -> web.PushDoor | None:
    producers = world.settings.producers
    if not producers:
        return None

    def take_in(push: web.Push) -> web.Answer:
        return push_decisions(
            world.engine, push, recipe=world.recipe, categories=world.policy.category_ids
        )

    rate = world.settings.api_rows_per_second
    limits = web.Limits()
    return web.PushDoor(
        tokens=web.Tokens((name, token.get_secret_value()) for name, token in producers),
        # A full batch at once is no flood, whatever the rate.
        allowance=web.Allowance(
            rows_per_second=rate, burst=max(10 * rate, limits.rows), clock=time.monotonic
        ),
        take_in=take_in,
        limits=limits,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        AddressRefused: somebody else has it, or it is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_CONNECTIONS)
    except (OSError, OverflowError) as cause:
        made.close()
        code = cause.errno if isinstance(cause, OSError) else None
        known = {
            errno.EADDRINUSE: "is in use",
            errno.EACCES: "may not be listened on by this user",
            errno.EADDRNOTAVAIL: "is no address of this machine",
        }
        raise AddressRefused(host, port, known.get(code or 0, "cannot be listened on")) from None
    return made


def server_of(app: ASGIApp) -> uvicorn.Server:
    """A server for the application, not running yet; `should_exit` ends it."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,  # our own events are the log; uvicorn's lines name clients and paths
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )


def run(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; what is being answered then is answered."""
    # Once it is done, uvicorn raises the signal again. For us it is done then, with exit 0.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.closing(listening), contextlib.suppress(KeyboardInterrupt):
            server_of(app).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)
