"""Cut a step off at its n-th touch of the world: by SIGKILL, or by taking Postgres away from it.

A touch is the moment before or after an SQL statement, a COPY, a commit or an HTTP request, the
moment between a request and its reply, and any file that is opened, moved or removed in the
state folder. Counting them makes a cut repeatable: a random n is a random point.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import psycopg2.extensions
from sqlalchemy import Engine, event

Cut = Callable[[], None]

_PROCESSES = multiprocessing.get_context("forkserver")
# Forked children inherit these, which saves each of them seconds of importing.
_PROCESSES.set_forkserver_preload(["tests.faults.preloaded"])
_POLLING = threading.Lock()
_LONGEST_SECONDS = 240
_PING = "SELECT 1"  # the connection pool's own question; nothing of ours lies between two of them
_FILE_EVENTS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"})


@dataclass(frozen=True)
class Outcome:
    """How a step's process ended: done, cut off by SIGKILL, or with an error of its own."""

    touches: int = 0
    killed: bool = False
    error: str | None = None  # the name of its class
    message: str = ""
    trace: str = ""


def die() -> None:
    """End this process as `kill -9` does: nothing is closed, flushed or rolled back."""
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full() -> None:
    """What the system says when the state folder's disk has no room left."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def run(
    step: Callable[..., Any],
    *,
    at: int | None = None,
    cut: Cut = die,
    files_only: bool = False,
    **arguments: Any,
) -> Outcome:
    """Run `step(**arguments)` in a process of its own, and `cut` in it at its n-th touch.

    With `files_only`, at its n-th touch of the state folder.

    All of them must be picklable: functions of a module, partials of these, plain values.
    """
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    child = _PROCESSES.Process(target=_child, args=(theirs, step, arguments, at, cut, files_only))
    # Starting a process polls every other, and of two polls at once one finds the status gone.
    with _POLLING:
        child.start()
    theirs.close()
    try:
        ended: Outcome = (
            ours.recv() if ours.poll(_LONGEST_SECONDS) else Outcome(error="it did not end")
        )
    except EOFError:
        ended = Outcome(killed=True)
    if ended.error == "it did not end":
        child.kill()
    with _POLLING:
        child.join()
    assert not ended.killed or child.exitcode == -signal.SIGKILL, f"exit code {child.exitcode}"
    return ended


def points(touches: int, *, seed: int) -> list[int]:
    """Where to cut: 20 different touches, or HITL_FAULT_POINTS of them; all if there are fewer."""
    wanted = max(20, int(os.environ.get("HITL_FAULT_POINTS", "20")))
    return sorted(random.Random(seed).sample(range(1, touches + 1), min(wanted, touches)))


def seed_of(name: str) -> int:
    """HITL_FAULT_SEED, else one that follows from the name: a failure comes back."""
    return int(os.environ.get("HITL_FAULT_SEED") or sum(name.encode()))


def _child(
    report: Connection,
    step: Callable[..., Any],
    arguments: dict[str, Any],
    at: int | None,
    cut: Cut,
    files_only: bool,
) -> None:
    touches = _Touches(at, cut, folder=Path(arguments["state"]), files_only=files_only)
    touches.watch()
    try:
        step(**arguments)
    except Exception as cause:  # noqa: BLE001 - whatever it is, the test shall hear of it
        told = Outcome(
            touches=touches.count,
            error=type(cause).__name__,
            message=str(cause),
            trace=traceback.format_exc(),
        )
    else:
        told = Outcome(touches=touches.count)
    report.send(told)


class _Touches:
    """Counts, and cuts when the count is reached."""

    def __init__(self, at: int | None, cut: Cut, *, folder: Path, files_only: bool) -> None:
        self.count = 0
        self._files_only = files_only
        self._at = at
        self._cut = cut
        self._folder = str(folder)

    def touch(self) -> None:
        """The world beside the state folder is touched."""
        if not self._files_only:
            self._touch()

    def _touch(self) -> None:
        self.count += 1
        if self.count == self._at:
            self._cut()

    def watch(self) -> None:
        """Count every touch of this process from here on."""
        touch = self.touch

        class Cursor(psycopg2.extensions.cursor):  # type: ignore[misc]
            def execute(self, query: Any, values: Any = None) -> None:
                counts = query != _PING
                if counts:
                    touch()
                super().execute(query, values)
                if counts:
                    touch()

            def copy_expert(self, *args: Any, **named: Any) -> None:
                touch()
                super().copy_expert(*args, **named)
                touch()

        class Session(psycopg2.extensions.connection):  # type: ignore[misc]
            def commit(self) -> None:
                touch()
                super().commit()
                touch()

        @event.listens_for(Engine, "do_connect")
        def use_ours(_: Any, __: Any, ___: Any, given: dict[str, Any]) -> None:
            given |= {"cursor_factory": Cursor, "connection_factory": Session}

        plain_send = httpx.Client.send

        def send(client: httpx.Client, request: httpx.Request, **named: Any) -> httpx.Response:
            def trace(name: str, _: Any) -> None:
                if name.endswith("send_request_body.complete"):
                    touch()

            touch()
            request.extensions = {**request.extensions, "trace": trace}
            response = plain_send(client, request, **named)
            touch()
            return response

        httpx.Client.send = send  # type: ignore[method-assign, assignment]
        sys.addaudithook(self._see_files)

    def _see_files(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in _FILE_EVENTS and str(arguments[0]).startswith(self._folder):
            self._touch()
