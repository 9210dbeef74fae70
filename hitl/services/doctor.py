"""What is wrong with an installation, and what to do about it. Looks; changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]

from hitl.services import installation, postgres_user, processes
from hitl.services.ports import is_free
from hitl.services.processes import ProcessRecord
from hitl.services.state import StateFolder

Level = Literal["ok", "warn", "fail"]

_GIGABYTE = 2**30
# Measured: Label Studio 300-480 MB, Prefect 240-290, Postgres 70-150; the rest is for training.
_MEMORY_WARN, _MEMORY_FAIL = 2 * _GIGABYTE, _GIGABYTE
_DISK_INSTALL, _DISK_RUN = 3 * _GIGABYTE, _GIGABYTE
_SERVERS = ("postgres", "label-studio", "prefect")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `mend` is empty where nothing is to be done."""

    level: Level
    what: str
    mend: str = ""


def examine(
    state: StateFolder,
    *,
    venv: Path | None,
    wants_label_studio: bool,
    running: Set[str],
    unhealthy: Mapping[str, str],
    external: Mapping[str, str],
) -> list[Finding]:
    """All findings, worst first. `unhealthy` and `external` map a server to what it says."""
    found = [
        python_version(sys.version_info[:2]),
        memory(psutil.virtual_memory().available, needed=not running),
        *folder(state),
        disk(
            shutil.disk_usage(_existing(state.path)).free,
            installs=wants_label_studio and not _has_label_studio(state, venv),
        ),
        *([label_studio_venv(state, venv)] if wants_label_studio else []),
        *servers(state, running=running, unhealthy=unhealthy),
        *(
            []
            if running or external
            else [Finding("ok", "no server runs", "`hitl up` starts them")]
        ),
        *given_servers(external),
        *leftovers(state, running=running),
    ]
    order = {"fail": 0, "warn": 1, "ok": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def python_version(version: tuple[int, int]) -> Finding:
    shown = f"Python {version[0]}.{version[1]}"
    if (3, 11) <= version < (3, 13):
        return Finding("ok", shown)
    return Finding("fail", f"{shown} is not supported", "use Python 3.11 or 3.12")


def memory(available: int, *, needed: bool) -> Finding:
    shown = f"{available / _GIGABYTE:.1f} GB of memory free"
    if not needed or available >= _MEMORY_WARN:
        return Finding("ok", shown)
    level: Level = "warn" if available >= _MEMORY_FAIL else "fail"
    return Finding(level, shown, "the three servers want about 1 GB and training more; free some")


def disk(free: int, *, installs: bool) -> Finding:
    shown = f"{free / _GIGABYTE:.1f} GB of disk free at the state folder"
    if free >= (_DISK_INSTALL if installs else 2 * _DISK_RUN):
        return Finding("ok", shown)
    level: Level = "fail" if installs or free < _DISK_RUN else "warn"
    return Finding(level, shown, "free some, or put the folder elsewhere with HITL_STATE")


def folder(state: StateFolder) -> list[Finding]:
    """The state folder: there, ours to write, its secrets closed to others, not held."""
    if not state.path.exists():
        return [Finding("ok", f"no state folder yet at {state.path}", "`hitl up` makes it")]
    if not os.access(state.path, os.W_OK | os.X_OK):
        mend = "run as the user who made it, or choose another with HITL_STATE"
        return [Finding("fail", f"state folder {state.path} cannot be written", mend)]
    found = []
    secrets = state.path / "secrets.json"
    if secrets.exists() and secrets.stat().st_mode & 0o077:
        found.append(Finding("fail", "other users may read secrets.json", f"chmod 600 {secrets}"))
    if state.is_locked("stack"):
        what = f"{state.holder('stack')} is starting or stopping servers here"
        found.append(Finding("warn", what, "wait for it; a lock whose holder died frees itself"))
    return found or [Finding("ok", f"state folder {state.path}")]


def label_studio_venv(state: StateFolder, given: Path | None) -> Finding:
    venv = installation.venv_of(state, given)
    python = installation.python_of(venv)
    if given is not None:
        if (fault := installation.why_unfit(venv)) is None:
            return Finding("ok", f"Label Studio is installed in {venv}")
        mend = "install label_studio.lock there, or unset HITL_LABEL_STUDIO_VENV"
        return Finding("fail", f"{venv} {fault}", mend)
    if installation.package_of(venv) is None:
        return Finding("warn", "Label Studio is not installed yet", "`hitl up` does it (minutes)")
    if not os.access(python, os.X_OK):
        return Finding("fail", f"{python} cannot be run", f"delete {venv}, then `hitl up`")
    if not installation.is_installed(venv):
        what = "Label Studio's install was cut off, or is of another version"
        return Finding("warn", what, "`hitl up` completes it")
    return Finding("ok", f"Label Studio is installed in {venv}")


def servers(
    state: StateFolder, *, running: Set[str], unhealthy: Mapping[str, str]
) -> list[Finding]:
    found = []
    for name in _SERVERS:
        port = state.known_port(name)
        if name in unhealthy:
            mend = f"read {state.log(name)}; `hitl up` starts it again if it does not recover"
            found.append(Finding("fail", f"{name} runs but {unhealthy[name]}", mend))
        elif name in running:
            found.append(Finding("ok", f"{name} runs and answers"))
        elif port is not None and not is_free(port):
            what = f"{name} is stopped and {processes.listener(port)} has its port {port}"
            found.append(Finding("warn", what, "nothing to do: `hitl up` takes another port"))
        elif _died(state, name):
            mend = f"`hitl up` recovers it; the end of {state.log(name)} may say why"
            found.append(Finding("warn", f"{name} is dead without having been stopped", mend))
    return found


def given_servers(external: Mapping[str, str]) -> list[Finding]:
    found = []
    for name, said in external.items():
        if said == "answers":
            found.append(Finding("ok", f"{name} (yours) answers"))
        else:
            mend = "start it, or mend or unset what the environment says of it (HITL_*)"
            found.append(Finding("fail", f"{name} (yours): {said}", mend))
    return found


def leftovers(state: StateFolder, *, running: Set[str]) -> list[Finding]:
    """Processes without a record, and clusters whose state folder is gone."""
    found = []
    if state.marker and not running and (strays := processes.marked(state.marker)):
        pids = ", ".join(str(process.pid) for process in strays)
        found.append(Finding("warn", f"left over from an earlier start: {pids}", "`hitl down`"))
    ours = {process.pid for process in processes.marked(state.marker)}
    started = {process.pid for process in processes.started_for(state.path)}
    if earlier := sorted(started - ours):
        pids = " ".join(str(pid) for pid in earlier)
        what = f"servers of a state folder that was here before still run: {pids}"
        mend = f"if it was not moved: kill {pids}" if state.marker else "`hitl down`"
        found.append(Finding("warn", what, mend))
    if os.geteuid() == 0:
        found += [_orphan(one) for one in postgres_user.orphans(besides=state.marker)]
    return found


def _orphan(one: postgres_user.Orphan) -> Finding:
    what = f"{one.root} holds the database of a state folder that is no longer at {one.state}"
    if one.is_running:
        return Finding("warn", what, "it runs: if the folder moved, `hitl up` there tells us where")
    mend = f"if it moved, `hitl up` there; if you deleted it: rm -rf {one.root} {one.root}.state"
    return Finding("warn", what, mend)


def _died(state: StateFolder, name: str) -> bool:
    """Whether a server of ours ended without `down`."""
    if name == "postgres":
        return (postgres_user.known_root(state) / "data" / "postmaster.pid").exists()
    return ProcessRecord.from_note(state.note(f"{name}.process")) is not None


def _has_label_studio(state: StateFolder, venv: Path | None) -> bool:
    return installation.package_of(installation.venv_of(state, venv)) is not None


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
