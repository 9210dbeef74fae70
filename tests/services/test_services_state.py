from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hitl.services import Stack, processes
from hitl.services.errors import Busy, StateFolderRefused
from hitl.services.ports import free_port, is_free
from hitl.services.state import StateFolder


@contextmanager
def listening_on(port: int) -> Iterator[None]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_and_its_secrets_are_closed_to_others(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "deep" / "state").prepare()

    state.secret("word", lambda: "w")

    assert 0o700 == mode(state.path)
    assert 0o700 == mode(state.path / "logs")
    assert 0o600 == mode(state.path / "secrets.json")


def test_a_folder_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    state = StateFolder(tmp_path).prepare()

    assert 0o755 == mode(tmp_path)
    assert not state.is_ours


def made_state(folder: Path) -> StateFolder:
    """A folder in use: it has an id, a server's record and a place of its database."""
    state = StateFolder(folder).prepare()
    state.secret("state_id", lambda: "first")
    state.write_note("prefect.process", {"pid": 1, "created": 2.0})
    state.write_note("postgres", {"user": "hitl"})
    return state


def test_a_moved_folder_stays_what_it_is(tmp_path: Path) -> None:
    made_state(tmp_path / "state")
    (tmp_path / "state").rename(tmp_path / "moved")

    moved = StateFolder(tmp_path / "moved").prepare()

    assert moved.copied_from is None
    assert "first" == moved.id
    assert {"pid": 1, "created": 2.0} == moved.note("prefect.process")
    assert str(tmp_path / "moved") == moved.note("made")["path"]


def test_a_copy_sees_nothing_of_its_original_and_then_becomes_its_own(tmp_path: Path) -> None:
    original = made_state(tmp_path / "state")
    original.secret("word", lambda: "w")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    copy = StateFolder(tmp_path / "copy")

    before = (copy.copied_from, copy.marker, copy.note("prefect.process"), copy.note("postgres"))
    copy.prepare()

    assert (original.path, "", {}, {}) == before
    assert copy.copied_from is None
    assert copy.id not in ("", "first")
    assert "w" == copy.known_secret("word")
    assert not (copy.path / "prefect.process.json").exists()
    assert "first" == original.id
    assert {"user": "hitl"} == original.note("postgres")


def test_a_copy_of_a_folder_that_is_gone_takes_its_place(tmp_path: Path) -> None:
    made_state(tmp_path / "state")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    shutil.rmtree(tmp_path / "state")

    assert "first" == StateFolder(tmp_path / "copy").prepare().id


def test_a_folder_seen_through_a_link_is_no_copy(tmp_path: Path) -> None:
    made_state(tmp_path / "state")
    (tmp_path / "link").symlink_to(tmp_path / "state")

    assert "first" == StateFolder(tmp_path / "link").prepare().id


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_root_leaves_another_users_folder_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    made_state(folder)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 12_345, -1)
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))

    with pytest.raises(StateFolderRefused, match="belongs to user 12345; run this as them"):
        StateFolder(folder).prepare()
    with pytest.raises(StateFolderRefused, match="belongs to user 12345"):
        Stack(folder).down()

    assert before == sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_servers_of_a_deleted_folder_are_found_and_stopped(tmp_path: Path) -> None:
    state = made_state(tmp_path / "state")
    processes.spawn(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        mark=f"{state.id}:prefect", home=state.path, env={}, cwd=Path("/"),
        output=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(state.path)

    ran = [Stack(state.path).down(), Stack(state.path).down()]

    assert [True, False] == ran
    assert [] == processes.started_for(state.path)


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    words = iter(["first", "second"])

    made = StateFolder(tmp_path).prepare().secret("word", lambda: next(words))
    again = StateFolder(tmp_path).secret("word", lambda: next(words))

    assert ("first", "first") == (made, again)


def test_a_port_is_remembered(tmp_path: Path) -> None:
    first = StateFolder(tmp_path).prepare().port("postgres")

    assert first == StateFolder(tmp_path).port("postgres")


def test_a_remembered_port_that_somebody_took_is_replaced_and_the_new_one_remembered(
    tmp_path: Path,
) -> None:
    state = StateFolder(tmp_path).prepare()
    first = state.port("postgres")

    with listening_on(first):
        second = state.port("postgres")

    assert first != second
    assert second == state.port("postgres")


def test_two_servers_of_a_folder_never_share_a_port(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()
    names = [f"server-{n}" for n in range(20)]

    ports = [state.port(name) for name in names]

    assert len(names) == len(set(ports))


def test_ports_lie_below_the_range_that_outgoing_connections_use() -> None:
    ports = [free_port(seed=str(n)) for n in range(20)]

    assert all(20_000 <= port < 30_000 for port in ports)


def test_a_listening_port_is_not_free() -> None:
    port = free_port(seed="listening")

    with listening_on(port):
        assert not is_free(port)

    assert is_free(port)


def test_a_file_in_the_way_is_refused_by_name(tmp_path: Path) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("")

    with pytest.raises(StateFolderRefused, match="there is a file in its place") as refused:
        StateFolder(in_the_way).prepare()

    assert in_the_way == refused.value.folder


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()
    (tmp_path / "secrets.json").write_text("{half")

    with pytest.raises(StateFolderRefused, match=r"secrets\.json cannot be read"):
        state.secret("word", lambda: "w")


def test_writing_a_record_leaves_no_half_file(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()

    state.write_note("thing", {"a": 1})

    assert {"a": 1} == json.loads((tmp_path / "thing.json").read_text())
    assert [] == list(tmp_path.glob(".thing*"))


def test_a_held_lock_makes_others_wait_and_say_for_whom(tmp_path: Path) -> None:
    state, other, said = StateFolder(tmp_path).prepare(), StateFolder(tmp_path), []

    with state.locked("stack"):
        is_locked = other.is_locked("stack")
        with pytest.raises(Busy, match=r"process [0-9]+ has been starting"):
            other.locked("stack", wait_seconds=0.1, on_wait=said.append).__enter__()

    assert is_locked
    assert 1 == len(said)
    assert not other.is_locked("stack")
