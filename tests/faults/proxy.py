"""A proxy before Label Studio that breaks, in all the ways a network and a server can."""

from __future__ import annotations

import enum
import random
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Fault(enum.Enum):
    """What happens to one request. `AFTER`: the server has acted, and nobody hears of it."""

    NONE = "passed on"
    DELAY = "passed on after a pause"
    DROP_BEFORE = "connection closed, not passed on"
    DROP_AFTER = "passed on, connection closed without a reply"
    HALF_REPLY = "passed on, half of the reply"
    TWICE = "passed on twice"
    STATUS_BEFORE = "502, not passed on"
    STATUS_AFTER = "passed on, 504"
    PAGE = "a page in place of the reply, not passed on"
    HANG_BEFORE = "no reply, not passed on"
    HANG_AFTER = "passed on, no reply"
    LATE = "passed on when nobody waits any more"


FAULTS = tuple(one for one in Fault if one is not Fault.NONE)
Choose = Callable[[str, str], Fault]


def at_random(seed: int, *, share: float, among: tuple[Fault, ...] = FAULTS) -> Choose:
    """So many requests meet a fault, which one and when by the seed."""
    rng = random.Random(seed)
    guard = threading.Lock()

    def choose(_method: str, _path: str) -> Fault:
        with guard:
            return rng.choice(among) if rng.random() < share else Fault.NONE

    return choose


def healthy(_method: str, _path: str) -> Fault:
    """Every request is passed on."""
    return Fault.NONE


class Proxy:
    """Passes requests on to `upstream`, each with the fault that `choose(method, path)` names.

    `late_seconds` is how long after a request `LATE` passes it on; a hanging one is let go as
    soon as its client has gone away.
    """

    def __init__(
        self,
        upstream: str,
        *,
        choose: Choose = healthy,
        delay_seconds: float = 0.05,
        late_seconds: float = 3.0,
    ) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        self._upstream = (parts.hostname, parts.port or 80)
        self.choose = choose
        self.delay_seconds = delay_seconds
        self.late_seconds = late_seconds
        self.met: Counter[Fault] = Counter()
        self._at_work = 0
        self._idle = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def drain(self) -> None:
        """Wait until nothing is on its way to the server any more."""
        with self._idle:
            assert self._idle.wait_for(lambda: self._at_work == 0, timeout=60)

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        """Status, content type and body of the server's reply."""
        connection = HTTPConnection(*self._upstream, timeout=120)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            reply = connection.getresponse()
            kind = reply.getheader("Content-Type") or "application/json"
            return reply.status, kind, reply.read()
        finally:
            connection.close()

    def begin(self, fault: Fault) -> None:
        with self._idle:
            self.met[fault] += 1
            self._at_work += 1

    def end(self) -> None:
        with self._idle:
            self._at_work -= 1
            self._idle.notify_all()


_NOT_ON = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


def _handler_of(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _carry(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.choose(self.command, self.path.partition("?")[0])
            proxy.begin(fault)
            try:
                self._meet(fault, body)
            except (OSError, HTTPException):
                # The client has gone away, or the server has: either way, nobody gets a reply.
                self._hang_up()
            finally:
                proxy.end()

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _carry  # noqa: N815

        def _meet(self, fault: Fault, body: bytes) -> None:
            match fault:
                case Fault.NONE:
                    self._reply(*self._forward(body))
                case Fault.DELAY:
                    time.sleep(proxy.delay_seconds)
                    self._reply(*self._forward(body))
                case Fault.TWICE:
                    self._forward(body)
                    self._reply(*self._forward(body))
                case Fault.DROP_BEFORE:
                    self._hang_up()
                case Fault.DROP_AFTER:
                    self._forward(body)
                    self._hang_up()
                case Fault.HALF_REPLY:
                    status, kind, reply = self._forward(body)
                    self._reply(status, kind, reply[: len(reply) // 2], length=len(reply) or 2)
                    self._hang_up()
                case Fault.STATUS_BEFORE:
                    self._reply(502, "text/html", b"<html>bad gateway</html>")
                case Fault.STATUS_AFTER:
                    self._forward(body)
                    self._reply(504, "text/html", b"<html>gateway timeout</html>")
                case Fault.PAGE:
                    self._reply(200, "text/html", b"<html>welcome</html>")
                case Fault.HANG_BEFORE:
                    self._wait_for_goodbye()
                case Fault.HANG_AFTER:
                    self._forward(body)
                    self._wait_for_goodbye()
                case Fault.LATE:
                    time.sleep(proxy.late_seconds)
                    self._forward(body)
                    self._hang_up()

        def _forward(self, body: bytes) -> tuple[int, str, bytes]:
            kept = {key: one for key, one in self.headers.items() if key.lower() not in _NOT_ON}
            return proxy.forward(self.command, self.path, kept, body)

        def _reply(self, status: int, kind: str, body: bytes, *, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if status != 204:
                self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def _wait_for_goodbye(self) -> None:
            # Readable means that the client has closed: it sends nothing while it waits.
            select.select([self.connection], [], [], 60)
            self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is gone already

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
