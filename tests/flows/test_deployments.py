"""What `hitl deploy` says of a server that is not, or not yet, the one it needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import deployments
from flows.deployments import NotAPrefectServer, PrefectAway
from hitl.services.ports import free_port


@contextmanager
def server_that_always_answers(code: int) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b"<html>quokka-canary-7731</html>"
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "what"),
    [(401, "HTTP 401"), (403, "HTTP 403"), (404, "HTTP 404"), (200, "an answer of another kind")],
)
def test_a_server_that_does_not_know_us_is_named_with_what_to_check(code: int, what: str) -> None:
    with server_that_always_answers(code) as url, temporary_settings({PREFECT_API_URL: url}):
        with pytest.raises(NotAPrefectServer) as refused:
            deployments.register()

    assert url in str(refused.value)
    assert what in str(refused.value)
    assert "HITL_PREFECT_API_URL" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_a_server_in_trouble_may_be_tried_again() -> None:
    with server_that_always_answers(500) as url, temporary_settings({PREFECT_API_URL: url}):
        with pytest.raises(PrefectAway, match="does not answer"):
            deployments.register()


def test_no_server_at_all_may_be_tried_again() -> None:
    url = f"http://127.0.0.1:{free_port(seed='deployments', avoid=frozenset())}/api"

    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(PrefectAway, match=url):
        deployments.register()
