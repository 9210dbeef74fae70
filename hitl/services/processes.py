"""Starting, finding and ending server processes so that nothing is left and nothing else is hit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

# Every server carries this in its environment, and its children inherit it. It finds what the
# records missed: a start that was killed between the fork and the note.
MARK = "HITL_SERVICE"
# And the path of its state folder, by which it is found when that folder is gone.
HOME = "HITL_STATE"
_CLOCK_SLACK_SECONDS = 2.0
# Kept so that a child that ends is reaped here, not left as a zombie until we end ourselves.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class ProcessRecord:
    """A process as it was when we started it. A pid alone may be somebody else's by now."""

    pid: int
    created: float

    def as_note(self) -> dict[str, Any]:
        return {"pid": self.pid, "created": self.created}

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> ProcessRecord | None:
        if "pid" not in note or "created" not in note:
            return None
        return cls(int(note["pid"]), float(note["created"]))


@dataclass(frozen=True)
class RunAs:
    """Another user to run as; only root may ask for one."""

    name: str
    uid: int
    gid: int


def spawn(
    command: Sequence[str | Path],
    *,
    mark: str,
    home: Path,
    env: Mapping[str, str],
    cwd: Path,
    output: int,
    run_as: RunAs | None = None,
) -> ProcessRecord:
    """Start a process of its own session, so that a Ctrl-C at the terminal does not reach it."""
    child = subprocess.Popen(  # noqa: S603 -- our own commands, no shell
        [str(part) for part in command],
        env={**env, MARK: mark, HOME: str(home)},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        umask=0o077,
        **identity(run_as),
    )
    _children[child.pid] = child
    try:
        created = psutil.Process(child.pid).create_time()
    except psutil.NoSuchProcess:  # it is gone already; whoever waits for it will say so
        created = 0.0
    return ProcessRecord(child.pid, created)


def identity(run_as: RunAs | None) -> dict[str, Any]:
    """The arguments of subprocess that run a command as somebody else."""
    if run_as is None:
        return {}
    return {"user": run_as.uid, "group": run_as.gid, "extra_groups": []}


def find(record: ProcessRecord | None) -> psutil.Process | None:
    """The living process of this record, or None if it ended or its pid belongs to another."""
    if record is None:
        return None
    reap(record.pid)
    try:
        process = psutil.Process(record.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if abs(process.create_time() - record.created) > _CLOCK_SLACK_SECONDS:
            return None
    except psutil.Error:
        return None
    return process


def is_alive(record: ProcessRecord | None) -> bool:
    """Whether the very process of this record runs."""
    return find(record) is not None


def marked(mark: str) -> list[psutil.Process]:
    """Every living process that carries this mark, or one that begins with it and a colon.

    Never this process itself. An empty mark is nobody's: what this finds is often killed next.
    """
    if not mark or mark.startswith(":"):
        return []
    return _servers_where(
        lambda told: told[MARK] == mark or told[MARK].startswith(f"{mark}:"),
    )


def started_for(home: Path) -> list[psutil.Process]:
    """Every living server that was started for the state folder at this path."""
    return _servers_where(lambda told: told.get(HOME) == str(home))


def _servers_where(claim: Callable[[Mapping[str, str]], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            told = process.environ()
            if MARK not in told or process.pid == os.getpid():
                continue
            if claim(told) and _lives(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def working_in(folder: Path, *, name: str) -> list[psutil.Process]:
    """Every living process of this name whose working directory is the folder."""
    wanted = os.path.realpath(folder)
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == name and process.cwd() == wanted and _lives(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def end(
    processes: Iterable[psutil.Process],
    *,
    grace_seconds: float,
    first: signal.Signals = signal.SIGTERM,
) -> None:
    """Ask these processes to end, wait, then kill them and whatever children they still have."""
    asked = list(processes)
    children = [child for process in asked for child in _children_of(process)]
    for process in asked:
        _signal(process, first)
    _, alive = psutil.wait_procs(asked, timeout=grace_seconds, callback=_reaped)
    rest = [*alive, *(child for child in children if _lives(child))]
    for process in rest:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(rest, timeout=10, callback=_reaped)


def ask_to_end(process: psutil.Process) -> None:
    """Say so and do not wait."""
    _signal(process, signal.SIGTERM)


def kill(processes: Iterable[psutil.Process]) -> None:
    """End these processes at once, as a crash would."""
    doomed = list(processes)
    for process in doomed:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(doomed, timeout=10, callback=_reaped)


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that it started."""
    return [process, *_children_of(process)]


def rss_bytes(processes: Iterable[psutil.Process]) -> int:
    """Resident memory of these processes together; shared pages count once per process."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def reap(pid: int) -> None:
    """Collect the exit status of a child of ours, if it ended."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


def listener(port: int) -> str:
    """Who listens on this port of ours, for messages: a name and a pid where we may know them."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                name = psutil.Process(connection.pid).name() if connection.pid else "a process"
                return f"{name} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another process"


def wait_until(
    claim: Callable[[], bool],
    *,
    timeout_seconds: float,
    sleep: Callable[[float], None],
    now: Callable[[], float],
    step_seconds: float = 0.1,
) -> bool:
    """Ask again and again until the claim holds. False if it never did in time."""
    deadline = now() + timeout_seconds
    while not claim():
        if now() >= deadline:
            return False
        sleep(step_seconds)
    return True


def _children_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _lives(process: psutil.Process) -> bool:
    reap(process.pid)
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal(process: psutil.Process, what: signal.Signals) -> None:
    try:
        process.send_signal(what)
    except psutil.NoSuchProcess:
        return


def _reaped(process: psutil.Process) -> None:
    # psutil has waited for the child; Popen must not wait for that pid a second time.
    if (child := _children.pop(process.pid, None)) is not None:
        child.returncode = getattr(process, "returncode", None) or 0
