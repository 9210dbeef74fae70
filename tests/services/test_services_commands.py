"""What `hitl down`, `status` and `make clean` say and do, without any server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.cli.output import stages
from hitl.services.state import StateFolder

ROOT = Path(__file__).parents[2]

# Stands where the checkout's python would be: notes what it is asked, and for which folder.
FAKE_PYTHON = """#!/bin/sh
echo "$HITL_STATE $3 $4" >> asked
exit {status}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HITL_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def said(*command: str) -> str:
    done = CliRunner().invoke(app, command)
    assert 0 == done.exit_code, done.output
    return done.output.replace("\n", " ")


def test_down_says_when_there_was_nothing_to_stop(folder: Path) -> None:
    assert f"nothing of {folder} was running" in said("down")
    assert not folder.exists()


def test_a_purge_says_what_it_deleted_and_what_stays(folder: Path) -> None:
    StateFolder(folder).prepare()
    (folder / "postgres" / "data").mkdir(parents=True)

    first, second = said("down", "--purge"), said("down", "--purge")

    assert f"deleted {folder / 'postgres'}: the databases of the loop" in first
    assert f"whatever else lies in {folder} stay" in first
    assert f"{folder} has no database to delete" in second
    assert (folder / "logs").is_dir()


def test_status_says_which_folder_it_speaks_of(folder: Path) -> None:
    assert f"state folder {folder}" in said("status")


def test_a_long_command_tells_its_stages_where_nobody_watches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stages("starting") as show:
        for line in ("making", "fetching package 1 of 2", "fetching package 2 of 2", "[done]"):
            show(line)

    assert ["making", "fetching package 1 of 2", "[done]"] == capsys.readouterr().err.splitlines()


def make(folder: Path, *, status: int) -> subprocess.CompletedProcess[str]:
    """`make clean` in a checkout whose python ends with this status, called by someone who has a
    team's stack in their environment."""
    shutil.copy(ROOT / "Makefile", folder)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE_PYTHON.format(status=status))
    python.chmod(0o755)
    (folder / ".hitl").mkdir()
    return subprocess.run(
        ["make", "clean"],
        cwd=folder,
        env={**os.environ, "HITL_STATE": "/srv/team", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_clean_reaches_the_checkouts_own_stack_alone(tmp_path: Path) -> None:
    done = make(tmp_path, status=0)

    assert 0 == done.returncode, done.stderr
    assert [".hitl down --purge"] == (tmp_path / "asked").read_text().splitlines()
    assert not (tmp_path / ".hitl").exists()
    assert not (tmp_path / ".venv").exists()


def test_make_clean_deletes_nothing_under_servers_that_it_could_not_stop(tmp_path: Path) -> None:
    done = make(tmp_path, status=1)

    assert 0 != done.returncode
    assert "could not be stopped, and stays as it is" in done.stderr
    assert (tmp_path / ".hitl").is_dir()
