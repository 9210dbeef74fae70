"""The real servers together: cut off, started, crashed, replaced, stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest
from pydantic import SecretStr

from hitl.services import Endpoints, Stack, label_studio, processes, store
from hitl.services.postgres import PostgresServer

pytestmark = pytest.mark.e2e

UP = (
    "import sys; from pathlib import Path; from hitl.services import Stack;"
    "Stack(Path(sys.argv[1]), prefect=False, label_studio_venv=Path(sys.argv[2]))"
    ".up(lambda line: print(line, flush=True))"
)


@pytest.fixture(scope="module")
def stack(label_studio_venv: Path) -> Iterator[Stack]:
    """One stack for all tests here. Its first `up` was cut off by a Ctrl-C in mid-bootstrap."""
    folder = Path(tempfile.mkdtemp(prefix="hitl-e2e-"))
    made = Stack(folder / "state", label_studio_venv=label_studio_venv)
    first = in_another_process(folder / "state", label_studio_venv)
    assert first.stdout is not None
    for line in first.stdout:
        if "creating its tables" in line:
            break
    # Somewhere among the migrations.
    assert settle(lambda: migrated(folder / "state") >= 20, timeout_seconds=300)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode != 0
    break_migrations(folder / "state")
    try:
        made.up()
        yield made
    finally:
        made.remove()
        assert [] == left_by(made)
        shutil.rmtree(folder)


def migrated(state: Path) -> int:
    """How many migrations the unfinished database has recorded."""
    try:
        [(count,)] = in_unfinished(state, "SELECT count(*) FROM django_migrations")
    except psycopg2.Error:  # it is not there yet, or its tables are not
        return 0
    return int(count)


def break_migrations(state: Path) -> None:
    """Some are recorded and some are not, as a kill at the wrong instruction leaves them."""
    in_unfinished(state, "DELETE FROM django_migrations WHERE id % 2 = 0")


def in_unfinished(state: Path, statement: str) -> list[tuple[int, ...]]:
    """In the database that a first start is making, whether its Postgres runs or not."""
    server = PostgresServer.running(state) or PostgresServer.start(state)
    url = server.url(label_studio.UNFINISHED)
    with closing(psycopg2.connect(**store.arguments(url))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def running(stack: Stack) -> Stack:
    """Everything runs, whatever the test before did."""
    stack.up()
    return stack


def in_another_process(folder: Path, venv: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", UP, str(folder), str(venv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_by(stack: Stack) -> list[psutil.Process]:
    """Processes that mention the state folder or carry its mark."""
    found = processes.marked(stack.state.marker)
    for process in psutil.process_iter(["cmdline"]):
        if str(stack.state.path) in " ".join(process.info["cmdline"] or []):
            found.append(process)
    return found


def ask(endpoints: Endpoints, path: str) -> httpx.Response:
    assert endpoints.label_studio_url is not None
    assert endpoints.label_studio_token is not None
    return httpx.get(
        endpoints.label_studio_url + path,
        headers={"Authorization": f"Token {endpoints.label_studio_token.get_secret_value()}"},
        trust_env=False,
        timeout=30,
    )


def settle(claim: Callable[[], bool], *, timeout_seconds: float = 60) -> bool:
    return processes.wait_until(
        claim,
        timeout_seconds=timeout_seconds,
        sleep=time.sleep,
        now=time.monotonic,
        step_seconds=0.1,
    )


def test_after_a_cut_off_start_everything_answers(running: Stack) -> None:
    found = {one.name: one for one in running.status()}

    assert {"postgres", "label-studio", "prefect"} == set(found)
    assert {"running"} == {one.state for one in found.values()}
    assert all(one.pid and one.rss for one in found.values())


def test_the_token_works_at_once_and_the_password_logs_in(running: Stack) -> None:
    endpoints = running.endpoints()

    who = ask(endpoints, "/api/current-user/whoami")

    assert 200 == who.status_code
    assert endpoints.label_studio_email == who.json()["email"]
    assert 302 == log_in(endpoints)


def log_in(endpoints: Endpoints) -> int:
    assert endpoints.label_studio_url is not None
    assert endpoints.label_studio_password is not None
    with httpx.Client(base_url=endpoints.label_studio_url, trust_env=False, timeout=30) as browser:
        page = browser.get("/user/login/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found is not None
        answer = browser.post(
            "/user/login/",
            data={
                "email": endpoints.label_studio_email,
                "password": endpoints.label_studio_password.get_secret_value(),
                "csrfmiddlewaretoken": found[1],
            },
            headers={"Referer": endpoints.label_studio_url},
        )
        return answer.status_code


def test_nobody_signs_up_without_an_invitation(running: Stack) -> None:
    endpoints = running.endpoints()
    assert endpoints.label_studio_url is not None
    with httpx.Client(base_url=endpoints.label_studio_url, trust_env=False, timeout=30) as stranger:
        page = stranger.get("/user/login/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found is not None

        stranger.post(
            "/user/signup/",
            data={
                "email": "s@example.com",
                "password": "Passw0rd!23",
                "csrfmiddlewaretoken": found[1],
            },
            headers={"Referer": endpoints.label_studio_url},
        )

    emails = [user["email"] for user in ask(endpoints, "/api/users/").json()]
    assert [endpoints.label_studio_email] == emails


def test_prefects_page_calls_its_own_server(running: Stack) -> None:
    api = running.endpoints().prefect_api_url
    assert api is not None

    settings = httpx.get(api.removesuffix("/api") + "/ui-settings", trust_env=False).json()

    assert api == settings["api_url"]


def test_every_server_listens_on_loopback_alone(running: Stack) -> None:
    pids = {process.pid for process in processes.marked(running.state.id)}
    pids.add(running.pid("postgres") or 0)

    heard = [
        connection.laddr.ip
        for connection in psutil.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN and connection.pid in pids
    ]

    assert len(heard) >= 3
    assert {"127.0.0.1"} == set(heard)


def test_a_second_up_changes_nothing(running: Stack) -> None:
    before = [(one.name, one.pid) for one in running.status()]
    said: list[str] = []

    running.up(said.append)

    assert before == [(one.name, one.pid) for one in running.status()]
    assert ["all servers answer"] == said


def test_two_ups_at_once_take_turns(running: Stack, label_studio_venv: Path) -> None:
    running.kill("label-studio")

    both = [in_another_process(running.state.path, label_studio_venv) for _ in range(2)]
    said = [one.communicate(timeout=240)[0] for one in both]

    assert [0, 0] == [one.returncode for one in both], said
    assert 1 == sum("label-studio: starting" in lines for lines in said)
    arbiters = [one for one in processes.marked(f"{running.state.id}:label-studio")]
    assert 2 == len(arbiters)  # one arbiter, one worker


def test_a_killed_label_studio_comes_back_where_it_was(running: Stack) -> None:
    before, pid = running.endpoints(), running.pid("label-studio")
    running.kill("label-studio")
    stopped = {one.name: one.state for one in running.status()}

    after = running.up()

    assert "stopped" == stopped["label-studio"]
    assert before.label_studio_url == after.label_studio_url
    assert pid != running.pid("label-studio")
    assert 200 == ask(after, "/api/projects").status_code


def test_a_worker_orphaned_by_its_killed_arbiter_does_not_hold_the_port(running: Stack) -> None:
    before = running.endpoints()
    workers = psutil.Process(running.pid("label-studio")).children()
    for worker in workers:
        worker.send_signal(signal.SIGSTOP)  # so that it cannot notice and end by itself
    os.kill(running.pid("label-studio") or 0, signal.SIGKILL)

    after = running.up()

    assert before.label_studio_url == after.label_studio_url
    assert not any(worker.is_running() for worker in workers)
    assert 200 == ask(after, "/api/projects").status_code


def test_label_studios_lasting_connections_survive_a_crash_of_postgres(running: Stack) -> None:
    before = running.pid("label-studio")
    assert 200 == ask(running.endpoints(), "/api/projects").status_code
    running.kill("postgres")
    told = [finding.what for finding in running.doctor() if finding.level != "ok"]

    after = running.up()

    assert "postgres is dead without having been stopped" in told
    assert before == running.pid("label-studio")
    answers = [ask(after, "/api/projects").status_code for _ in range(10)]
    assert {200} == set(answers)


def test_a_postgres_that_lost_its_port_takes_label_studio_along(running: Stack) -> None:
    before = running.state.known_port("postgres")
    running.kill("postgres")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", before or 0))
        taken.listen()

        after = running.up()

    assert before != running.state.known_port("postgres")
    assert 200 == ask(after, "/api/projects").status_code


def test_label_studio_keeps_its_connections_between_requests(running: Stack) -> None:
    endpoints = running.endpoints()
    for _ in range(3):
        ask(endpoints, "/api/projects")
    assert endpoints.database_url is not None

    held = store.sessions(endpoints.database_url.get_secret_value(), database=label_studio.DATABASE)

    assert 1 <= held <= 9


def test_one_server_restarts_alone(running: Stack) -> None:
    before = {one.name: one.pid for one in running.status()}

    running.restart("label-studio")

    after = {one.name: one.pid for one in running.status()}
    assert ["label-studio"] == [name for name, pid in after.items() if before[name] != pid]


def test_a_server_given_by_its_url_is_not_started_and_is_asked(
    running: Stack, tmp_path: Path
) -> None:
    endpoints = running.endpoints()
    other = Stack(
        tmp_path / "other",
        database_url=endpoints.database_url,
        label_studio_url=endpoints.label_studio_url,
        label_studio_token=endpoints.label_studio_token,
        prefect_api_url=endpoints.prefect_api_url,
    )

    given = other.up()
    found = other.status()
    other.down()

    assert replace(endpoints, label_studio_email=None, label_studio_password=None) == given
    assert [("external", "answers")] * 3 == [(one.state, one.detail) for one in found]
    assert [] == left_by(other)
    assert 200 == ask(endpoints, "/api/projects").status_code


def test_a_silent_server_of_yours_is_told(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    other = Stack(
        tmp_path / "other",
        database_url=SecretStr("postgresql+psycopg2://u:secret-word@127.0.0.1:9/x"),
        label_studio_url=nobody,
        label_studio_token=SecretStr("secret-word"),
        prefect_api_url=nobody + "/api",
    )

    found = other.status()
    told = [finding for finding in other.doctor() if finding.level == "fail"]

    assert ["external"] * 3 == [one.state for one in found]
    assert all("refuse" in one.detail for one in found)
    assert 3 == len(told)
    assert "secret-word" not in repr(found) + repr(told)


def test_down_leaves_no_process_and_up_finds_all_data(running: Stack) -> None:
    created = httpx.post(
        f"{running.endpoints().label_studio_url}/api/projects",
        json={"title": "kept over a restart"},
        headers={"Authorization": f"Token {label_studio.credentials(running.state).token}"},
        trust_env=False,
        timeout=30,
    )
    assert 201 == created.status_code

    running.down()
    left, stopped = left_by(running), {one.state for one in running.status()}
    running.down()
    after = running.up()

    assert [] == left
    assert {"stopped"} == stopped
    titles = [one["title"] for one in ask(after, "/api/projects").json()["results"]]
    assert ["kept over a restart"] == titles


def test_down_after_every_server_was_killed_is_quiet(running: Stack) -> None:
    for name in ("label-studio", "prefect", "postgres"):
        running.kill(name)

    running.down()

    assert [] == left_by(running)
    assert Endpoints() == running.endpoints()


def test_both_environments_hold_all_that_their_packages_ask_for(label_studio_venv: Path) -> None:
    """Label Studio's lock is installed without resolving: what a marker asks for must be in it."""
    for python in (sys.executable, label_studio_venv / "bin" / "python"):
        done = subprocess.run(
            [python, "-m", "pip", "check"], capture_output=True, text=True, check=False
        )

        assert 0 == done.returncode, done.stdout
