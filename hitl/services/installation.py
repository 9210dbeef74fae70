"""Label Studio's own virtual environment: its pins conflict with Prefect's, so it lives apart."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from hitl.services import processes
from hitl.services.errors import InstallFailed, WrongEnvironment
from hitl.services.state import StateFolder

Progress = Callable[[str], None]

_READY = "hitl-ready"


def lock_file() -> Path:
    """The pins, shipped with this package."""
    return Path(str(resources.files("hitl.services") / "label_studio.lock"))


def lock_hash() -> str:
    return hashlib.sha256(lock_file().read_bytes()).hexdigest()[:16]


def venv_of(state: StateFolder, given: Path | None) -> Path:
    """Where Label Studio's virtual environment is, or will be made."""
    return given.expanduser().absolute() if given else state.path / "label-studio" / "venv"


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def package_of(venv: Path) -> Path | None:
    """The folder of the label_studio package in this environment, if it is installed there."""
    return next(iter(sorted(venv.glob("lib/python3*/site-packages/label_studio/server.py"))), None)


def wanted_version() -> str:
    """The Label Studio that the pins name; what runs inside it uses private names of that one."""
    lines = lock_file().read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("label-studio==")).partition("==")[2]


def why_unfit(venv: Path) -> str | None:
    """None if this environment, which somebody else made, can serve; else the reason."""
    package = package_of(venv)
    if package is None or not os.access(python_of(venv), os.X_OK):
        return "holds no label_studio"
    found = [one.name for one in package.parent.parent.glob("label_studio-*.dist-info")]
    versions = [name.removeprefix("label_studio-").removesuffix(".dist-info") for name in found]
    if versions != [wanted_version()]:
        shown = " and ".join(versions) or "of no known version"
        return f"holds Label Studio {shown}, this needs {wanted_version()}"
    return None


def is_installed(venv: Path) -> bool:
    """Whether an install of this very lock came to its end here."""
    with contextlib.suppress(OSError):
        return (venv / _READY).read_text().strip() == lock_hash()
    return False


def find_installed(state_folder: Path, given: Path | None = None) -> Path | None:
    """An environment that could serve now, or None; for tests that must not install one."""
    if given is not None:
        return given if package_of(given) is not None else None
    venv = venv_of(StateFolder(state_folder), None)
    return venv if is_installed(venv) else None


def ensure_installed(
    state: StateFolder, *, given: Path | None = None, progress: Progress = lambda _: None
) -> Path:
    """The environment, made and filled if it is not. A given one is used as it is.

    Idempotent; an install that was cut off goes on where it stopped, since pip skips what is
    there. The ready mark is written last.

    Raises:
        WrongEnvironment: the given folder holds no Label Studio, or another version.
        InstallFailed: the environment could not be made, or pip failed.
    """
    venv = venv_of(state, given)
    log = state.log("label-studio-install")
    if given is not None:
        # Before its newer or older migrations have touched the database.
        if (fault := why_unfit(venv)) is not None:
            raise WrongEnvironment(venv, fault)
        return venv
    if is_installed(venv):
        return venv
    state.folder("label-studio")
    # A cut-off parent may have left its pip at work in this folder.
    processes.kill(processes.marked(f"{state.id}:label-studio-install"))
    # Its python appears before its pip: a cut in between leaves one that can install nothing.
    if not (venv / "bin" / "pip").exists():
        if importlib.util.find_spec("ensurepip") is None:
            what = (
                f"{sys.executable} cannot make virtual environments, as it has no ensurepip; "
                "install it (on Debian and Ubuntu: apt install python3-venv)"
            )
            raise InstallFailed(what, log=log)
        progress("label-studio: making its virtual environment")
        _run(state, [sys.executable, "-m", "venv", "--clear", str(venv)], what="venv failed")
    pins = sum(1 for line in lock_file().read_text().splitlines() if "==" in line)
    command = [
        str(python_of(venv)), "-m", "pip", "install", "--disable-pip-version-check",
        "--no-input", "--no-deps", "--progress-bar", "off", "-r", str(lock_file()),
    ]  # fmt: skip
    seen = 0

    def follow(line: str) -> None:
        nonlocal seen
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            seen += 1
            progress(f"label-studio: fetching package {min(seen, pins)} of {pins} (about 1 GB)")
        elif line.startswith("Installing collected"):
            progress(f"label-studio: unpacking {pins} packages, a minute or two")

    _run(state, command, what="pip could not install it", follow=follow)
    (venv / _READY).write_text(lock_hash() + "\n")
    return venv


def _run(
    state: StateFolder,
    command: list[str],
    *,
    what: str,
    follow: Callable[[str], None] = lambda _: None,
) -> None:
    log = state.log("label-studio-install")
    output = state.open_log("label-studio-install")
    # pip's own configuration comes from the environment: it is passed on whole.
    env = {**os.environ, processes.MARK: f"{state.id}:label-studio-install"}
    env.pop("PYTHONPATH", None)
    with os.fdopen(output, "a") as file:
        child = subprocess.Popen(  # noqa: S603
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            for line in child.stdout or ():
                file.write(line)
                follow(line)
            status = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if status != 0:
        raise InstallFailed(what, log=log)
