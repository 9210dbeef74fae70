from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hitl.services import doctor
from hitl.services.postgres_user import Orphan
from hitl.services.state import StateFolder

GIGABYTE = 2**30


def levels(found: list[doctor.Finding]) -> list[str]:
    return [finding.level for finding in found]


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10), "fail"), ((3, 11), "ok"), ((3, 12), "ok"), ((3, 13), "fail")]
)
def test_the_python_must_be_one_we_test(version: tuple[int, int], level: str) -> None:
    assert level == doctor.python_version(version).level


@pytest.mark.parametrize(("free", "level"), [(8, "ok"), (1.5, "warn"), (0.5, "fail")])
def test_little_memory_is_told_before_anything_starts(free: float, level: str) -> None:
    assert level == doctor.memory(int(free * GIGABYTE), needed=True).level


def test_memory_that_our_own_servers_use_is_no_finding() -> None:
    assert "ok" == doctor.memory(GIGABYTE // 2, needed=False).level


def test_an_install_wants_more_disk_than_a_run() -> None:
    free = int(2.5 * GIGABYTE)

    assert "fail" == doctor.disk(free, installs=True).level
    assert "ok" == doctor.disk(free, installs=False).level
    assert "fail" == doctor.disk(GIGABYTE // 2, installs=False).level


def test_open_secrets_are_told_with_the_command_that_mends_them(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()
    state.secret("word", lambda: "w")
    (tmp_path / "secrets.json").chmod(0o644)

    found = doctor.folder(state)

    assert ["fail"] == levels(found)
    assert f"chmod 600 {tmp_path / 'secrets.json'}" == found[0].mend


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()

    with state.locked("stack"):
        found = doctor.folder(state)

    assert ["warn"] == levels(found)
    assert "process" in found[0].what


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "none")

    found = doctor.examine(
        state, venv=None, wants_label_studio=True, running=set(), unhealthy={}, external={}
    )

    assert not state.path.exists()
    assert any("not installed yet" in finding.what for finding in found)


def test_servers_that_are_stopped_are_a_finding_too(tmp_path: Path) -> None:
    found = doctor.examine(
        StateFolder(tmp_path).prepare(),
        venv=None,
        wants_label_studio=True,
        running=set(),
        unhealthy={},
        external={},
    )

    assert ["`hitl up` starts them"] == [
        finding.mend for finding in found if finding.what == "no server runs"
    ]


@pytest.mark.parametrize(
    ("is_running", "shown"), [(True, "`hitl up` there tells us where"), (False, "rm -rf")]
)
def test_no_deletion_is_proposed_for_a_database_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_running: bool, shown: str
) -> None:
    one = Orphan(tmp_path / "abc", tmp_path / "state", is_running)
    monkeypatch.setattr(doctor.postgres_user, "orphans", lambda *, besides: [one])
    monkeypatch.setattr("os.geteuid", lambda: 0)

    found = doctor.leftovers(StateFolder(tmp_path / "none"), running=set())

    assert [shown in finding.mend for finding in found] == [True]
    assert is_running != ("rm -rf" in found[0].mend)


def test_a_port_that_somebody_took_is_told_with_whom(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()
    port = state.port("postgres")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()

        found = doctor.servers(state, running=set(), unhealthy={})

    assert ["warn"] == levels(found)
    assert f"has its port {port}" in found[0].what


def test_a_server_that_died_is_told_and_one_that_was_stopped_is_not(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()
    state.write_note("prefect.process", {"pid": 1, "created": 2.0, "setup": "x"})
    state.write_note("label-studio.process", {})

    found = doctor.servers(state, running=set(), unhealthy={})

    assert ["prefect is dead without having been stopped"] == [one.what for one in found]


def test_a_dead_postmaster_is_told(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "postmaster.pid").write_text("1\n")

    found = doctor.servers(state, running=set(), unhealthy={})

    assert ["postgres is dead without having been stopped"] == [one.what for one in found]


def test_a_silent_server_is_worse_than_a_stopped_one(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()

    found = doctor.servers(
        state, running={"label-studio"}, unhealthy={"label-studio": "answers with status 500"}
    )

    assert ["fail"] == levels(found)
    assert "answers with status 500" in found[0].what
    assert str(state.log("label-studio")) in found[0].mend


def test_a_server_of_yours_that_is_silent_is_named_with_its_reason() -> None:
    found = doctor.given_servers({"prefect": "refuses the connection", "label-studio": "answers"})

    assert ["fail", "ok"] == levels(found)
    assert "prefect (yours): refuses the connection" == found[0].what
