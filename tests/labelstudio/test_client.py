"""How the client takes it when Label Studio fails: which error, which words, and only one try."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from hitl.errors import Refused, Unavailable
from hitl.labelstudio import (
    ImportRefused,
    LabelStudioClient,
    LabelStudioRefused,
    LabelStudioUnavailable,
    ProjectGone,
    ProjectIsAnother,
    RequestRefused,
)

TOKEN = "a-secret-token"
TASKS = [{"entry_id": one, "text": "private words"} for one in (41, 42, 43)]


@dataclass
class Scripted:
    """A server that answers everything alike, and remembers what it was asked."""

    url: str = ""
    status: int = 200
    body: str = "{}"
    bodies: list[str] = field(default_factory=list)  # these first, one an answer
    pause: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.asked.append(f"{self.command} {self.path.split('?')[0]}")
            if script.hangs:
                script.pause.wait(30)
                return
            body = (script.bodies.pop(0) if script.bodies else script.body).encode()
            self.send_response(script.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    yield script
    script.pause.set()
    server.shutdown()
    server.server_close()


def client_of(url: str, *, timeout_seconds: float = 5.0) -> LabelStudioClient:
    return LabelStudioClient(url, SecretStr(TOKEN), timeout_seconds=timeout_seconds)


CALLS: list[Callable[[LabelStudioClient], Any]] = [
    lambda client: client.version(),
    lambda client: client.import_tasks(1, TASKS),
    lambda client: list(client.marks(1)),
    lambda client: client.reopen(1, overlap=2),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_server_error_may_be_tried_again_and_is_not_tried_again_here(
    scripted: Scripted, call: Callable[[LabelStudioClient], Any], status: int
) -> None:
    scripted.status = status
    scripted.body = json.dumps({"detail": "private words"})

    with pytest.raises(LabelStudioUnavailable) as failure:
        call(client_of(scripted.url))

    assert 1 == len(scripted.asked)
    assert isinstance(failure.value, Unavailable)
    message = str(failure.value)
    assert f"Label Studio at {scripted.url} answers HTTP {status}" in message
    assert "hitl up" in message
    assert "private words" not in message


@pytest.mark.parametrize("call", CALLS)
def test_a_hanging_server_is_given_up_after_the_time_that_was_set(
    scripted: Scripted, call: Callable[[LabelStudioClient], Any]
) -> None:
    scripted.hangs = True
    begun = time.monotonic()

    with pytest.raises(LabelStudioUnavailable, match=r"gave no answer for 0\.2 seconds"):
        call(client_of(scripted.url, timeout_seconds=0.2))

    assert time.monotonic() - begun < 20, "it waited for the server and not for the limit"
    assert 1 == len(scripted.asked)


def test_a_server_that_is_not_there_is_named_with_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(LabelStudioUnavailable) as failure:
        client_of(url).version()

    assert f"Label Studio at {url} refuses the connection" in str(failure.value)
    assert "HITL_LABEL_STUDIO_URL" in str(failure.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_refused_by_its_setting_and_never_shown(
    scripted: Scripted, status: int
) -> None:
    scripted.status = status

    with pytest.raises(LabelStudioRefused) as failure:
        client_of(scripted.url).import_tasks(1, TASKS)

    assert isinstance(failure.value, Refused)
    assert "HITL_LABEL_STUDIO_TOKEN" in str(failure.value)
    assert TOKEN not in str(failure.value)


def test_an_access_token_that_ran_out_is_refused_the_same_way() -> None:
    import jwt

    expired = jwt.encode({"exp": 1, "token_type": "refresh"}, "k" * 32)

    with pytest.raises(LabelStudioRefused, match="HITL_LABEL_STUDIO_TOKEN"):
        LabelStudioClient("http://127.0.0.1:9", SecretStr(expired))


def test_a_refused_import_names_the_entries_at_fault_and_quotes_nothing(
    scripted: Scripted,
) -> None:
    scripted.status = 400
    scripted.body = "Error at item 1: no :: {'data': {'text': 'private words'}}"

    with pytest.raises(ImportRefused) as failure:
        client_of(scripted.url).import_tasks(1, TASKS)

    assert [42] == failure.value.entry_ids
    assert "entries 42 (HTTP 400)" in str(failure.value)
    assert "private words" not in str(failure.value)
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__


def test_an_import_that_says_nothing_of_the_fault_names_all_its_entries(
    scripted: Scripted,
) -> None:
    scripted.status = 413
    scripted.body = "too large"

    with pytest.raises(ImportRefused) as failure:
        client_of(scripted.url).import_tasks(1, TASKS)

    assert [41, 42, 43] == failure.value.entry_ids


def test_a_project_that_is_deleted_while_we_push_blames_no_entry(scripted: Scripted) -> None:
    scripted.status = 404

    with pytest.raises(RequestRefused, match="HTTP 404"):
        client_of(scripted.url).import_tasks(1, TASKS)


def test_a_missing_project_is_gone(scripted: Scripted) -> None:
    scripted.status = 404

    with pytest.raises(ProjectGone, match="no project 7"):
        client_of(scripted.url).check_project(7, marker="ours")


def test_a_page_in_place_of_json_is_another_server(scripted: Scripted) -> None:
    scripted.body = "<html>welcome</html>"

    with pytest.raises(LabelStudioUnavailable, match="something else than Label Studio"):
        client_of(scripted.url).version()


def test_json_of_another_shape_is_another_server(scripted: Scripted) -> None:
    scripted.body = '["welcome"]'

    with pytest.raises(LabelStudioUnavailable, match="something else"):
        list(client_of(scripted.url).marks(1))


def page_of(*task_ids: int, total: int) -> str:
    tasks = [{"id": one, "updated_at": "2026-06-01T12:00:00Z"} for one in task_ids]
    return json.dumps({"tasks": tasks, "total": total})


def test_a_server_that_shows_fewer_tasks_than_asked_for_is_read_to_the_end(
    scripted: Scripted,
) -> None:
    scripted.bodies = [page_of(1, 2, total=5), page_of(3, 4, total=3), page_of(5, total=1)]

    pages = list(client_of(scripted.url).marks(1))

    assert [1, 2, 3, 4, 5] == [one.task_id for page in pages for one in page.tasks]
    assert [False, False, True] == [page.is_last for page in pages]
    assert 3 == len(scripted.asked)


def test_tasks_asked_for_by_id_are_not_taken_for_gone_because_a_page_is_short(
    scripted: Scripted,
) -> None:
    scripted.bodies = [page_of(1, 2, total=3), page_of(3, total=1)]

    found = client_of(scripted.url).tasks(1, [1, 2, 3])

    assert [1, 2, 3] == [one.task_id for one in found]


def test_a_listing_that_shrinks_while_it_is_read_ends(scripted: Scripted) -> None:
    scripted.bodies = [page_of(1, total=2), page_of(total=1)]

    assert [False, True] == [page.is_last for page in client_of(scripted.url).marks(1)]


def test_a_project_whose_description_was_changed_is_told_from_one_that_is_gone(
    scripted: Scripted,
) -> None:
    scripted.body = json.dumps({"id": 7, "description": "our nice project"})

    with pytest.raises(ProjectIsAnother, match="its description is not `ours`") as failure:
        client_of(scripted.url).check_project(7, marker="ours")

    assert "our nice project" not in str(failure.value)
