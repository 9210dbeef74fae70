"""Commands as a person types them, and what they leave running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

HITL = Path(sys.executable).parent / "hitl"


def hitl(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    """Run a command to its end and give what it printed."""
    done = subprocess.run(
        [HITL, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert code == done.returncode, f"{arguments}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def as_json(environment: dict[str, str], *arguments: str) -> Any:
    """The same for a command with --json."""
    done = subprocess.run(
        [HITL, *arguments, "--json"], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def processes_of(environment: dict[str, str]) -> list[str]:
    """Every process whose command line, folder or environment names the state folder."""
    state = environment["HITL_STATE"]
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(state in word for word in words):
            found.append(" ".join(words)[:200])
    return found
