"""The embedded Prefect server: its metadata on SQLite in the state folder, on loopback only."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from hitl.services.server import HttpServer, Launch, clean_environment
from hitl.services.state import StateFolder

NAME = "prefect"
START_SECONDS = 240.0  # 14 s on an idle machine; migrations of a fresh home on a busy one take long


def server(state: StateFolder) -> HttpServer:
    return HttpServer(state, NAME, health_path="/api/health")


def api_url(state: StateFolder) -> str | None:
    """What PREFECT_API_URL must be, once the server has a port."""
    url = server(state).url
    return None if url is None else f"{url}/api"


def setup(state: StateFolder) -> str:
    """All that a running server cannot change: what it was started from, and for which folder."""
    return f"{importlib.metadata.version('prefect')}:{sys.executable}:{state.path}"


def launch(state: StateFolder, port: int) -> Launch:
    """How to start it. Never imports prefect: that alone takes seconds."""
    home = state.folder("prefect")
    return Launch(
        command=[sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1",
                 "--port", str(port)],
        env=environment(home, port, own=os.environ),
        cwd=home,
    )  # fmt: skip


def environment(home: Path, port: int, *, own: Mapping[str, str]) -> dict[str, str]:
    """The server's whole environment."""
    return clean_environment(own) | {
        "HOME": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        # Without this the page in the browser calls port 4200, whatever the server's port.
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
        "PYTHONUNBUFFERED": "1",
    }
