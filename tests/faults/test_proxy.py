"""The proxy breaks as it is told: what the server saw, and what the client got."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.faults.proxy import FAULTS, Fault, Proxy, at_random


class Counting:
    """A server that counts what reaches it."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        counting = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                counting.seen.append(body)
                self.send_response(201)
                self.send_header("Content-Length", "12")
                self.end_headers()
                self.wfile.write(b'{"done": 12}')

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def server() -> Iterator[Counting]:
    made = Counting()
    yield made
    made.server.shutdown()
    made.server.server_close()


def outcome(url: str) -> str:
    try:
        reply = httpx.post(f"{url}/x", content=b"body", timeout=0.3)
        return f"{reply.status_code} {reply.text[:6]}"
    except httpx.HTTPError as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("fault", "reached", "told"),
    [
        (Fault.NONE, 1, '201 {"done'),
        (Fault.DELAY, 1, '201 {"done'),
        (Fault.DROP_BEFORE, 0, "RemoteProtocolError"),
        (Fault.DROP_AFTER, 1, "RemoteProtocolError"),
        (Fault.HALF_REPLY, 1, "RemoteProtocolError"),
        (Fault.TWICE, 2, '201 {"done'),
        (Fault.STATUS_BEFORE, 0, "502 <html>"),
        (Fault.STATUS_AFTER, 1, "504 <html>"),
        (Fault.PAGE, 0, "200 <html>"),
        (Fault.HANG_BEFORE, 0, "ReadTimeout"),
        (Fault.HANG_AFTER, 1, "ReadTimeout"),
        (Fault.LATE, 1, "ReadTimeout"),
    ],
)
def test_each_fault_reaches_the_server_and_the_client_as_it_says(
    server: Counting, fault: Fault, reached: int, told: str
) -> None:
    with Proxy(server.url, choose=lambda *_: fault, late_seconds=0.6) as proxy:
        found = outcome(proxy.url)
        proxy.drain()

    assert told == found
    assert [b"body"] * reached == server.seen
    assert {fault: 1} == proxy.met


def test_a_late_request_arrives_after_its_client_has_given_up(server: Counting) -> None:
    with Proxy(server.url, choose=lambda *_: Fault.LATE, late_seconds=0.8) as proxy:
        assert "ReadTimeout" == outcome(proxy.url)
        before = list(server.seen)
        proxy.drain()

    assert ([], [b"body"]) == (before, server.seen)


def test_the_seed_says_which_requests_meet_which_fault() -> None:
    drawn = [
        [choose("GET", "/") for _ in range(500)]
        for choose in (at_random(7, share=0.3), at_random(7, share=0.3), at_random(8, share=0.3))
    ]

    assert drawn[0] == drawn[1] != drawn[2]
    assert set(FAULTS) <= set(drawn[0])
    assert 300 < drawn[0].count(Fault.NONE) < 400


def test_a_server_that_is_gone_is_a_connection_that_breaks() -> None:
    with Proxy("http://127.0.0.1:9") as proxy:
        assert "RemoteProtocolError" == outcome(proxy.url)
