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
def environment(label_studio_venv: Path) -> Iterator[dict[str, str]]:
    """A state folder of its own, and Label Studio as it is installed already."""
    with tempfile.TemporaryDirectory(prefix="hitl-e2e-", ignore_cleanup_errors=True) as folder:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HITL_", "PREFECT_"))}
        yield kept | {
            "HITL_STATE": str(Path(folder) / "state"),
            "HITL_LABEL_STUDIO_VENV": str(label_studio_venv),
            "COLUMNS": "160",
        }
        subprocess.run(
            [HITL, "down", "--purge"], env=kept | {"HITL_STATE": f"{folder}/state"}, check=False
        )


@pytest.fixture(scope="session")
def demo(environment: dict[str, str]) -> str:
    """A short demo, run to its end; its servers stay up for the tests below."""
    return hitl(
        environment,
        "demo",
        *("--rounds", "2", "--labels", "80", "--items", "1500", "--curve-seeds", "1"),
    )
