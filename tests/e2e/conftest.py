"""One short demo for all tests of this folder, in a state folder of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import HITL, hitl


@pytest.fixture(scope="session")
def own(label_studio_venv: Path) -> Iterator[dict[str, str]]:
    """A newcomer's environment: their state folder, and Label Studio as it is installed already."""
    with tempfile.TemporaryDirectory(prefix="hitl-e2e-", ignore_cleanup_errors=True) as folder:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HITL_", "PREFECT_"))}
        made = kept | {
            "HITL_STATE": str(Path(folder) / "state"),
            "HITL_LABEL_STUDIO_VENV": str(label_studio_venv),
            "COLUMNS": "160",
        }
        yield made
        subprocess.run([HITL, "down", "--purge"], env=made, check=False)


@pytest.fixture(scope="session")
def environment(own: dict[str, str]) -> dict[str, str]:
    """The demo's world, as the exports that it prints give it."""
    return own | {"HITL_STATE": own["HITL_STATE"] + "-demo"}


@pytest.fixture(scope="session")
def demo(own: dict[str, str]) -> str:
    """A short demo, run to its end; its servers stay up for the tests below."""
    return hitl(
        own,
        "demo",
        *("--rounds", "2", "--labels", "80", "--items", "1500", "--curve-seeds", "1"),
    )
