"""One recorded server process, with small stand-ins for the real servers."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hitl.services import processes
from hitl.services.errors import ServiceFailed
from hitl.services.server import HttpServer, Launch
from hitl.services.state import StateFolder

pytestmark = pytest.mark.e2e

ANSWERS = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status}); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""
MUTE = "import time; print('still thinking', flush=True); time.sleep(60)"
BROKEN = "import sys; sys.exit('no such table')"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpServer]:
    state = StateFolder(tmp_path / "state").prepare()
    yield HttpServer(state, "stand-in", health_path="/health")
    processes.kill(processes.marked(state.id))


def launch(script: str) -> Callable[[int], Launch]:
    return lambda port: Launch([sys.executable, "-c", script, str(port)], {}, Path("/"))


def start(server: HttpServer, script: str, *, timeout_seconds: float = 30) -> None:
    server.spawn(launch(script), setup="a")
    server.wait(launch(script), setup="a", timeout_seconds=timeout_seconds)


def is_current(server: HttpServer, setup: str) -> bool:
    return server.is_current(setup, patience_seconds=0, on_wait=lambda _: None)


def test_a_start_ends_when_the_health_page_answers(server: HttpServer) -> None:
    assert "was never started" == server.why_silent()

    start(server, ANSWERS.format(status=200))

    assert server.is_healthy()
    assert server.pid is not None


def test_a_start_that_takes_too_long_points_to_the_log_and_shows_its_end(
    server: HttpServer, tmp_path: Path
) -> None:
    with pytest.raises(ServiceFailed, match=r"did not answer .* within 2 s") as failed:
        start(server, MUTE, timeout_seconds=2)

    assert str(tmp_path / "state" / "logs" / "stand-in.log") in str(failed.value)
    assert "still thinking" in str(failed.value)


def test_a_start_that_ends_by_itself_is_told_at_once_with_its_last_words(
    server: HttpServer,
) -> None:
    with pytest.raises(ServiceFailed, match="ended while it started") as failed:
        start(server, BROKEN)

    assert "no such table" in str(failed.value)


def test_a_server_that_answers_with_an_error_is_not_healthy(server: HttpServer) -> None:
    with pytest.raises(ServiceFailed, match="did not answer"):
        start(server, ANSWERS.format(status=500), timeout_seconds=2)

    assert "answers with status 500" == server.why_silent()


def test_a_port_lost_between_the_look_and_the_bind_is_replaced(
    server: HttpServer, tmp_path: Path
) -> None:
    state = StateFolder(tmp_path / "state")
    lost = state.port("stand-in")
    server.spawn(launch(BROKEN), setup="a")  # as one that found its port taken
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", lost))
        taken.listen()

        server.wait(launch(ANSWERS.format(status=200)), setup="a", timeout_seconds=30)

    assert server.is_healthy()
    assert lost != state.known_port("stand-in")


def test_a_stranger_on_our_port_is_not_taken_for_our_server(
    server: HttpServer, tmp_path: Path
) -> None:
    start(server, ANSWERS.format(status=200))
    other = HttpServer(StateFolder(tmp_path / "state"), "other", health_path="/health")
    StateFolder(tmp_path / "state").write_note(
        "ports", {"other": StateFolder(tmp_path / "state").known_port("stand-in")}
    )

    assert other.why_silent() is None
    assert not other.is_healthy()


def test_a_server_started_with_another_setup_is_not_current(server: HttpServer) -> None:
    start(server, ANSWERS.format(status=200))

    assert is_current(server, "a")
    assert not is_current(server, "b")


def test_a_busy_server_is_waited_for_and_not_replaced(server: HttpServer) -> None:
    start(server, ANSWERS.format(status=200))
    process, said = server.process, []
    assert process is not None
    process.suspend()  # so busy that it answers nobody
    threading.Timer(6, process.resume).start()

    current = server.is_current("a", patience_seconds=30, on_wait=said.append)

    assert current
    assert 1 == len(said)
    assert "did not answer within 5 s; waiting up to 30 s before it is replaced" in said[0]


def test_a_server_that_stays_silent_is_not_current(server: HttpServer) -> None:
    server.spawn(launch(MUTE), setup="a")

    assert not server.is_current("a", patience_seconds=1, on_wait=lambda _: None)


def test_a_stopped_server_did_not_die(server: HttpServer, tmp_path: Path) -> None:
    start(server, ANSWERS.format(status=200))

    server.stop()
    server.stop()

    assert server.process is None
    assert {} == StateFolder(tmp_path / "state").note("stand-in.process")
