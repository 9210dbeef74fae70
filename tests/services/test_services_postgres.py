"""The embedded Postgres under faults: crashes, orphans, taken ports, other users."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from hitl.services import Stack, processes, store
from hitl.services.errors import PostgresSilent, StateFolderRefused
from hitl.services.postgres import PostgresServer
from hitl.services.state import StateFolder

pytestmark = pytest.mark.postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's clusters lie outside")

QUICK = {"fsync": "off"}  # these clusters live for a minute


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One cluster for all tests here; each leaves it in a state that `start` can mend."""
    with tempfile.TemporaryDirectory(prefix="hitl-pg-") as made:
        yield Path(made) / "state"
        PostgresServer.start(Path(made) / "state").remove()


def query(server: PostgresServer, statement: str, database: str = "postgres") -> list[object]:
    connection = psycopg2.connect(**store.arguments(server.url(database)))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


def data_of(server: PostgresServer) -> Path:
    return Path(str(query(server, "SHOW data_directory")[0]))


def settle(claim: Callable[[], bool]) -> bool:
    return processes.wait_until(
        claim, timeout_seconds=30, sleep=time.sleep, now=time.monotonic, step_seconds=0.02
    )


def test_a_second_start_is_the_same_server(folder: Path) -> None:
    first = PostgresServer.start(folder, settings=QUICK)

    second = PostgresServer.start(folder)

    assert (first.pid, first.port) == (second.pid, second.port)
    assert [1] == query(second, "SELECT 1")


def test_it_listens_on_loopback_alone_and_asks_for_a_password(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)

    addresses = query(server, "SHOW listen_addresses")
    wrong = f"postgresql://hitl:wrong@127.0.0.1:{server.port}/postgres"

    assert ["127.0.0.1"] == addresses
    assert "password authentication failed" in str(store.why_silent(wrong))


def test_a_database_is_made_once_and_text_is_unicode(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)

    made = [server.create_database("odd name"), server.create_database("odd name")]

    assert [True, False] == made
    assert ["ärger"] == query(server, "SELECT lower('ÄRGER')", "odd name")


def test_a_role_of_its_own_reads_nothing_of_ours(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    server.create_database("ours")
    query(server, "DROP TABLE IF EXISTS secret; CREATE TABLE secret (word text)", "ours")

    for _ in range(2):
        store.ensure_role(server.url("postgres"), name="guest", password="g")
    as_guest = psycopg2.connect(**store.arguments(server.role_url("guest", "g", "ours")))

    with as_guest.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("SELECT * FROM secret")
    as_guest.close()


def test_committed_rows_survive_a_kill_of_the_postmaster(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    query(server, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT generate_series(1, 1000)")

    server.kill()
    was_running = PostgresServer.running(folder)
    again = PostgresServer.start(folder, settings=QUICK)

    assert was_running is None
    assert server.pid != again.pid
    assert server.port == again.port
    assert [1000] == query(again, "SELECT count(*) FROM kept")


def test_workers_that_outlive_their_killed_postmaster_do_not_bar_the_next(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    data = data_of(server)
    busy = threading.Thread(target=_ignore_errors, args=(server, "SELECT pg_sleep(60)"))
    busy.start()
    assert settle(lambda: query(server, "SELECT count(*) FROM pg_stat_activity "
                                        "WHERE query LIKE 'SELECT pg_sleep%'") == [1])  # fmt: skip
    workers = [one for one in processes.working_in(data, name="postgres") if one.pid != server.pid]
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):  # some, such as autovacuum's, come and go
            worker.send_signal(signal.SIGSTOP)  # so that none of them can notice
    os.kill(server.pid, signal.SIGKILL)

    again = PostgresServer.start(folder, settings=QUICK)

    busy.join(timeout=30)
    assert [1] == query(again, "SELECT 1")
    assert not any(worker.is_running() for worker in workers)


def _ignore_errors(server: PostgresServer, statement: str) -> None:
    try:
        query(server, statement)
    except psycopg2.OperationalError:
        return


def test_a_pid_file_that_names_a_stranger_does_not_bar_the_next_and_spares_the_stranger(
    folder: Path,
) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    pid_file = data_of(server) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.kill()
    stranger = subprocess.Popen(["sleep", "60"])
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

    again = PostgresServer.start(folder, settings=QUICK)

    assert again.pid != stranger.pid
    assert [1] == query(again, "SELECT 1")
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_server_that_runs_but_does_not_answer_is_replaced(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    os.kill(server.pid, signal.SIGSTOP)

    reason = server.why_silent()
    again = PostgresServer.start(folder, settings=QUICK, timeout_seconds=4)

    assert reason is not None
    assert server.pid != again.pid
    assert [1] == query(again, "SELECT 1")


def test_a_server_with_no_free_place_is_alive(folder: Path) -> None:
    PostgresServer.start(folder).stop()
    server = PostgresServer.start(
        folder, settings={**QUICK, "max_connections": "3", "superuser_reserved_connections": "0"}
    )
    held = []
    for _ in range(3):
        held.append(psycopg2.connect(**store.arguments(server.url("postgres"))))  # noqa: PERF401

    reason = server.why_silent()
    with pytest.raises(PostgresSilent, match="too many clients already; try again"):
        server.create_database("anything")

    for connection in held:
        connection.close()
    server.stop()
    assert reason is None


def test_a_port_that_somebody_took_meanwhile_is_replaced(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    server.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", server.port))
        taken.listen()

        again = PostgresServer.start(folder, settings=QUICK)

    assert server.port != again.port
    assert again.port == PostgresServer.start(folder).port


def test_stopping_leaves_no_process_and_may_be_repeated(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    data = data_of(server)

    server.stop()
    server.stop()

    assert [] == processes.working_in(data, name="postgres")
    assert [] == processes.marked(StateFolder(folder).id)
    assert PostgresServer.running(folder) is None


def test_two_starts_at_once_give_one_server(folder: Path) -> None:
    PostgresServer.start(folder).stop()
    script = (
        "import sys; from pathlib import Path; from hitl.services.postgres import PostgresServer;"
        "print(PostgresServer.start(Path(sys.argv[1])).pid)"
    )
    command = [sys.executable, "-c", script, str(folder)]

    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pids = [one.communicate(timeout=120)[0].strip() for one in both]

    assert [0, 0] == [one.returncode for one in both]
    assert pids[0] == pids[1]


def test_an_initdb_that_was_cut_off_is_begun_again(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first = PostgresServer.start(folder, settings=QUICK)
    data = data_of(first)
    first.stop()
    data.rename(data.with_name("data.new"))  # what a kill before the rename leaves

    again = PostgresServer.start(folder, settings=QUICK)

    assert [1] == query(again, "SELECT 1")
    assert not data.with_name("data.new").exists()
    again.remove()
    assert not data.exists()


@pytest.fixture
def lasting() -> Iterator[Path]:
    """A folder for a cluster of a test's own; what lies outside of it goes with it."""
    with tempfile.TemporaryDirectory(prefix="hitl-pg-") as made:
        yield Path(made) / "state"
        for left in Path(made).iterdir():
            PostgresServer.start(left, settings=QUICK).remove()


def test_after_a_purge_it_starts_anew(lasting: Path) -> None:
    first = PostgresServer.start(lasting, settings=QUICK)
    query(first, "CREATE TABLE gone (word text)")
    data = data_of(first)

    first.remove()
    was_left = data.exists()
    again = PostgresServer.start(lasting, settings=QUICK)

    assert not was_left
    assert [None] == query(again, "SELECT to_regclass('gone')")


def test_a_moved_folder_keeps_its_database(lasting: Path) -> None:
    first = PostgresServer.start(lasting, settings=QUICK)
    query(first, "CREATE TABLE kept AS SELECT 7 AS seven")
    first.stop()
    moved = lasting.rename(lasting.with_name("moved"))

    again = PostgresServer.start(moved, settings=QUICK)

    assert [7] == query(again, "SELECT seven FROM kept")


def test_a_copied_folder_has_nothing_of_the_original_in_its_hands(lasting: Path) -> None:
    original = PostgresServer.start(lasting, settings=QUICK)
    query(original, "CREATE TABLE mine AS SELECT 7 AS seven")
    copy = lasting.with_name("copy")
    subprocess.run(["cp", "-a", str(lasting), str(copy)], check=True)

    Stack(copy).down()
    after_down = PostgresServer.running(lasting)
    Stack(copy).remove()
    theirs = PostgresServer.start(copy, settings=QUICK)

    assert after_down is not None
    assert [7] == query(original, "SELECT seven FROM mine")
    assert original.pid != theirs.pid
    assert StateFolder(lasting).id != StateFolder(copy).id
    assert [None] == query(theirs, "SELECT to_regclass('mine')")


@as_root
def test_a_copy_whose_database_lay_outside_says_that_it_began_empty(lasting: Path) -> None:
    original = PostgresServer.start(lasting, settings=QUICK)
    copy = lasting.with_name("copy")
    subprocess.run(["cp", "-a", str(lasting), str(copy)], check=True)

    theirs = PostgresServer.start(copy, settings=QUICK)

    assert f"data in {original._place.root}" in original.note  # tempfile's folders are closed
    assert f"began empty: the database of {lasting} was not copied along" in theirs.note


def test_the_clusters_password_is_not_left_in_a_file_of_its_own(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)

    assert not (data_of(server).parent / "password").exists()


def test_neither_content_nor_secrets_reach_the_log(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    query(server, "DROP TABLE IF EXISTS once; CREATE TABLE once (word text PRIMARY KEY)")
    query(server, "INSERT INTO once VALUES ('very private')")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        query(server, "INSERT INTO once VALUES ('very private')")
    with pytest.raises(psycopg2.errors.InvalidTextRepresentation):
        query(server, "SELECT 'canary'::float")
    store.ensure_role(server.url("postgres"), name="guest", password="a-guest-word")

    log = server.log.read_text()

    assert "ready to accept connections" in log
    assert "canary" not in log
    assert "very private" not in log
    assert "a-guest-word" not in log
    assert str(StateFolder(folder).known_secret("postgres_password")) not in log


def test_a_cluster_of_another_version_is_refused_with_the_way_out(folder: Path) -> None:
    server = PostgresServer.start(folder, settings=QUICK)
    version = data_of(server) / "PG_VERSION"
    server.stop()
    version.write_text("17\n")

    with pytest.raises(StateFolderRefused, match="made by Postgres 17, this is 18; dump it"):
        PostgresServer.start(folder)

    version.write_text("18\n")


def test_a_deep_state_folder_works(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 60) / ("e" * 60) / "state, with a comma"

    server = PostgresServer.start(folder, settings=QUICK)

    assert [1] == query(server, "SELECT 1")
    server.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user here")
def test_an_ordinary_user_needs_no_other_user_and_nothing_outside() -> None:
    nobody = pwd.getpwnam("nobody")
    folder = Path(tempfile.mkdtemp(prefix="hitl-plain-", dir="/tmp"))
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)

    def as_nobody() -> dict[str, object]:
        server = PostgresServer.start(folder / "state", settings=QUICK)
        first, data = server.pid, data_of(server)
        os.kill(server.pid, signal.SIGKILL)
        again = PostgresServer.start(folder / "state", settings=QUICK)
        answer = query(again, "SELECT 1")
        again.stop()
        return {
            "data": str(data),
            "owner": data.stat().st_uid,
            "new": first != again.pid,
            "answer": answer,
            "note": again.note,
            "left": len(processes.working_in(data, name="postgres")),
        }

    seen = in_a_child_of(nobody.pw_uid, nobody.pw_gid, as_nobody)

    shutil.rmtree(folder)
    assert {
        "data": str(folder / "state" / "postgres" / "data"),
        "owner": nobody.pw_uid,
        "new": True,
        "answer": [1],
        "note": "",
        "left": 0,
    } == seen


def in_a_child_of(uid: int, gid: int, work: Callable[[], dict[str, object]]) -> object:
    """Run it in a forked child as this user. A new interpreter might not be reachable for them."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            answer: object = work()
        except BaseException:  # noqa: BLE001 -- whatever it is, the parent shows it
            answer = traceback.format_exc()
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return json.loads(said)
