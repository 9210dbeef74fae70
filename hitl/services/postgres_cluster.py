"""The Postgres cluster on disk and its processes: made, found, cleared after a crash, stopped."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from hitl.services import processes
from hitl.services.errors import ServiceFailed, StateFolderRefused
from hitl.services.postgres_user import (
    MAJOR,
    Place,
    known_root,
    note_of,
    shipped_binaries,
    socket_folder,
)
from hitl.services.processes import ProcessRecord
from hitl.services.state import StateFolder

NAME = "postgres"
SUPERUSER = "hitl"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    # Content must not reach a log. An error's own words quote the value it is about, so errors
    # stay with the client; what the server says of itself (LOG, FATAL, PANIC) is kept.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "lc_messages": "C",
}


def spawn(
    state: StateFolder, where: Place, port: int, settings: Mapping[str, str]
) -> ProcessRecord:
    sockets = socket_folder(where.root, port, owner=where.run_as)
    chosen = {**_SETTINGS, "port": str(port), "unix_socket_directories": str(sockets), **settings}
    options = [part for key, value in chosen.items() for part in ("-c", f"{key}={value}")]
    output = state.open_log(NAME)
    try:
        return processes.spawn(
            [where.binaries / "postgres", "-D", where.data, *options],
            mark=f"{state.id}:{NAME}",
            home=state.path,
            env=_environment(),
            cwd=where.root,
            output=output,
            run_as=where.run_as,
        )
    finally:
        os.close(output)


def initialise(state: StateFolder, where: Place) -> None:
    """Make the cluster, whole or not at all: beside its place, then renamed into it."""
    if (where.data / "PG_VERSION").exists():
        return
    aside = where.root / "data.new"
    shutil.rmtree(aside, ignore_errors=True)
    word = where.root / "password"
    descriptor = os.open(word, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(state.secret("postgres_password", password))
        if where.run_as is not None:
            os.fchown(file.fileno(), where.run_as.uid, where.run_as.gid)
    command = [
        where.binaries / "initdb", "-D", aside, "-U", SUPERUSER, f"--pwfile={word}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    ]  # fmt: skip
    output = state.open_log(NAME)
    try:
        done = subprocess.run(  # noqa: S603
            [str(part) for part in command],
            env=_environment(), cwd=where.root, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, check=False, umask=0o077,
            **processes.identity(where.run_as),
        )  # fmt: skip
    finally:
        os.close(output)
        word.unlink(missing_ok=True)
    if done.returncode != 0:
        raise ServiceFailed(NAME, "its data folder could not be made", log=state.log(NAME))
    if where.data.exists():  # no PG_VERSION in it: never was a cluster
        where.data.rmdir()
    aside.rename(where.data)


def postmaster(data: Path) -> tuple[psutil.Process, int] | None:
    """The living postmaster of this folder and its port. The pid file alone is not believed."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None
    processes.reap(pid)
    for process in processes.working_in(data, name="postgres"):
        if process.pid == pid:
            return process, port
    return None


def clear_crash(where: Place) -> None:
    """After a `kill -9`: end the orphaned workers, drop the pid file that names a dead process.

    Only called when no postmaster of this folder runs, under the lock.
    """
    processes.kill(processes.working_in(where.data, name="postgres"))
    with contextlib.suppress(FileNotFoundError):
        (where.data / "postmaster.pid").unlink()


def stop(where: Place, *, grace_seconds: float = 30) -> None:
    found = postmaster(where.data)
    if found is not None:
        # SIGINT is Postgres's "fast": roll back, disconnect, checkpoint. SIGTERM would wait.
        processes.end([found[0]], grace_seconds=grace_seconds, first=signal.SIGINT)
    processes.kill(processes.working_in(where.data, name="postgres"))


def known_place(state: StateFolder) -> Place | None:
    """Where the cluster is, if there is one; makes nothing."""
    root = known_root(state)
    if not root.exists():
        return None
    return Place(root, shipped_binaries(), None, note_of(state))


def check_version(state: StateFolder, where: Place) -> None:
    try:
        made_by = (where.data / "PG_VERSION").read_text().strip()
    except OSError:
        return
    if made_by != str(MAJOR):
        what = (
            f"its cluster was made by Postgres {made_by}, this is {MAJOR}; dump it with the old "
            "version and load it here, or use another folder"
        )
        raise StateFolderRefused(state.path, what)


def _environment() -> dict[str, str]:
    # A stray PGDATA or PGPORT must not reach it.
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def password() -> str:
    return secrets.token_urlsafe(24)
