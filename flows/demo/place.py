"""Where a demo lives: a state folder beside yours, so that nothing invented meets real content."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from hitl import defaults
from hitl.errors import Refused
from hitl.services import Endpoints
from hitl.services.installation import ensure_installed
from hitl.services.state import StateFolder
from hitl.settings import Settings

MATERIAL = "demo"
"""The folder within the state folder that holds the content and the pictures of a demo."""
_SYNTHETIC, _LOG = "-demo", "-log"
_SERVERS = ("database_url", "label_studio_url", "label_studio_token", "prefect_api_url")


class ServersOfYours(Refused):
    """The environment names servers that are in use; simulated reviewers may not answer there."""

    def __init__(self, names: list[str]) -> None:
        without = " ".join(f"-u {name}" for name in names)
        super().__init__(
            f"environment: {', '.join(names)} set, and the demo must not touch servers in use; it "
            f"starts some of its own: env {without} hitl demo"
        )
        self.names = names


def demo_settings(own: Settings, *, is_log: bool) -> Settings:
    """Settings of the demo's world: its own servers and data, and the policy its answers fit.

    Raises:
        ServersOfYours: a server is given in the environment.
    """
    given = [f"HITL_{name.upper()}" for name in _SERVERS if getattr(own, name) is not None]
    if given:
        raise ServersOfYours(given)
    rules, stem = (Path(__file__).parent, "decisions_") if is_log else (defaults.folder(), "")
    home = _home(own.state_folder)
    return own.model_copy(
        update={
            "state": home.with_name(home.name + (_LOG if is_log else _SYNTHETIC)),
            "policy": rules / f"{stem}policy.toml",
            "recipe": rules / f"{stem}recipe.toml",
        }
    )


def demo_folders(state_folder: Path) -> list[Path]:
    """Where the demos started from this state folder live, whether there are any or not."""
    return [state_folder.with_name(state_folder.name + kind) for kind in (_SYNTHETIC, _LOG)]


def _home(state_folder: Path) -> Path:
    """The folder that a demo lies beside; asked inside a demo's world, it is the same one."""
    for kind in (_SYNTHETIC, _LOG):
        if state_folder.name.endswith(kind) and (state_folder / MATERIAL).is_dir():
            return state_folder.with_name(state_folder.name.removesuffix(kind))
    return state_folder


def shared_label_studio(own: Settings, progress: Callable[[str], None]) -> Path:
    """Label Studio's environment: the given one, or the one in your own state folder.

    It is installed there if it is not yet: a gigabyte that `hitl up` and all demos share.

    Raises:
        InstallFailed: it could not be installed.
    """
    if own.label_studio_venv is not None:
        return own.label_studio_venv
    state = StateFolder(_home(own.state_folder)).prepare()
    with state.locked("stack", on_wait=progress):
        return ensure_installed(state, progress=progress)


def enter_environment(demo: Settings, endpoints: Endpoints) -> None:
    """What Prefect's flows read, in this process and in the ones they start.

    To be called before Prefect is imported, which reads its environment then.
    """
    os.environ["HITL_STATE"] = str(demo.state_folder)
    os.environ["HITL_POLICY"] = str(demo.policy)
    os.environ["HITL_RECIPE"] = str(demo.recipe)
    os.environ["HITL_LABEL_STUDIO_VENV"] = str(demo.label_studio_venv)
    os.environ["PREFECT_API_URL"] = endpoints.prefect_api_url or ""
    # A profile made for another server must not speak for ours.
    os.environ["PREFECT_HOME"] = str(demo.state_folder / "prefect-client")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("DO_NOT_TRACK", "1")


def exports(own: Settings, demo: Settings) -> str:
    """The assignments with which `hitl` works on the demo's world; empty if it does already."""
    shipped = defaults.folder()
    assignments = (
        ("HITL_STATE", own.state_folder, demo.state_folder),
        ("HITL_LABEL_STUDIO_VENV", own.label_studio_venv, demo.label_studio_venv),
        ("HITL_POLICY", own.policy or shipped / "policy.toml", demo.policy),
        ("HITL_RECIPE", own.recipe or shipped / "recipe.toml", demo.recipe),
    )
    return " ".join(
        f"{name}={shlex.quote(str(theirs))}" for name, ours, theirs in assignments if ours != theirs
    )
