"""`python -m hitl.services.install`: make Label Studio ready ahead of the first `hitl up`."""

from __future__ import annotations

import sys

from hitl.errors import HitlError
from hitl.services.installation import ensure_installed
from hitl.services.state import StateFolder
from hitl.settings import load_settings


def main() -> int:
    """Install where the settings say. Safe to repeat. 0 done, 1 it could not be done."""
    shown = ""

    def show(line: str) -> None:
        nonlocal shown
        kind = line.split(" package ")[0]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{line}")
        elif kind != shown:  # a file gets one line a stage, not one a package
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        shown = kind

    try:
        settings = load_settings()
        state = StateFolder(settings.state_folder).prepare()
        with state.locked("stack", on_wait=show):
            venv = ensure_installed(state, given=settings.label_studio_venv, progress=show)
    except HitlError as refusal:
        sys.stderr.write(f"\n{refusal}\n")
        return 1
    if shown and sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    sys.stderr.write(f"Label Studio is installed in {venv}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
