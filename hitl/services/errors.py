"""What can go wrong with the embedded servers, by what the caller should do."""

from __future__ import annotations

from pathlib import Path

from hitl.errors import Refused, Unavailable

_SHOWN_LINES = 12


def last_lines(log: Path, count: int = _SHOWN_LINES) -> list[str]:
    """The end of a log file, or nothing if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 16_384))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line.rstrip()[:300] for line in lines if line.strip()][-count:]


class ServiceFailed(Unavailable):
    """A server did not come up, or ended while it started. Carries its name and its log file."""

    def __init__(self, name: str, what: str, *, log: Path) -> None:
        shown = "".join(f"\n    {line}" for line in last_lines(log))
        super().__init__(
            f"{name}: {what}. Its log is {log}" + (f"; it ends with:{shown}" if shown else "")
            + "\n  `hitl doctor` looks for the usual causes; `hitl up` tries again"
        )  # fmt: skip
        self.name = name
        self.log = log


class StateFolderRefused(Refused):
    """The state folder cannot be used as it is."""

    def __init__(self, folder: Path, what: str) -> None:
        super().__init__(f"state folder {folder}: {what}")
        self.folder = folder


class Busy(Unavailable):
    """Another `up` or `down` holds the state folder."""

    def __init__(self, folder: Path, holder: str, waited_seconds: float) -> None:
        super().__init__(
            f"state folder {folder}: {holder} has been starting or stopping servers here for more "
            f"than {waited_seconds:.0f} s; wait for it, or end that process, then try again"
        )
        self.folder = folder


class PostgresSilent(Unavailable):
    """Postgres did not let us in, or hung up. Carries its own words, which hold no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"postgres: {reason}; try again, and see `hitl status` and `hitl doctor` if it stays so"
        )
        self.reason = reason


class NoDatabaseURL(Refused):
    """What was given as a database URL is none. Never shows it: it may hold a password."""

    def __init__(self) -> None:
        self.why = "not a database URL (postgresql://user:password@host:port/name)"
        super().__init__(f"HITL_DATABASE_URL: {self.why}")


class InstallFailed(Unavailable):
    """Label Studio could not be installed beside us."""

    def __init__(self, what: str, *, log: Path) -> None:
        shown = "".join(f"\n    {line}" for line in last_lines(log, 8))
        super().__init__(
            f"label-studio: {what}. The log is {log}{'; it ends with:' if shown else ''}{shown}\n"
            "  The same command goes on where it stopped. To use an existing virtual environment "
            "instead, set HITL_LABEL_STUDIO_VENV to its folder"
        )
        self.log = log


class WrongEnvironment(Refused):
    """HITL_LABEL_STUDIO_VENV names an environment that cannot serve."""

    def __init__(self, venv: Path, what: str) -> None:
        super().__init__(
            f"HITL_LABEL_STUDIO_VENV {venv}: {what}; install hitl/services/label_studio.lock "
            "there, or unset the variable and `hitl up` makes an environment of its own"
        )
        self.venv = venv
