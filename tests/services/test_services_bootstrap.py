"""Label Studio's tables are believed to be there only when the script said that it is done."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hitl.services import installation, label_studio, store
from hitl.services.errors import ServiceFailed
from hitl.services.state import StateFolder

POSTGRES = cast(Any, SimpleNamespace(url=lambda database: database, port=1))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setattr(store, "fingerprint", lambda url, *, database: "this very one")
    (tmp_path / "bin").mkdir()
    installation.python_of(tmp_path).symlink_to(sys.executable)
    return StateFolder(tmp_path / "state").prepare()


def scripted(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """What runs in place of the real script."""
    (folder / "hitl_bootstrap.py").write_text(body)
    monkeypatch.setattr(label_studio, "_scripts", lambda: folder)


def bootstrap(state: StateFolder, venv: Path) -> None:
    label_studio.bootstrap(state, POSTGRES, venv, progress=lambda _: None, timeout_seconds=30)


def test_a_bootstrap_that_failed_is_not_remembered_as_done(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(tmp_path, monkeypatch, "raise SystemExit('no such column')")

    with pytest.raises(ServiceFailed, match="tables could not be created") as failed:
        bootstrap(state, tmp_path)

    assert "no such column" in str(failed.value)
    assert {} == state.note("label-studio.bootstrapped")


def test_the_mark_of_an_earlier_bootstrap_does_not_speak_for_this_one(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    scripted(tmp_path, monkeypatch, done)
    bootstrap(state, tmp_path)
    state.drop_note("label-studio.bootstrapped")
    scripted(tmp_path, monkeypatch, "raise SystemExit(1)")

    with pytest.raises(ServiceFailed):
        bootstrap(state, tmp_path)


def test_a_bootstrap_that_is_done_is_not_repeated(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    scripted(tmp_path, monkeypatch, done)
    bootstrap(state, tmp_path)
    scripted(tmp_path, monkeypatch, "raise SystemExit(1)")

    bootstrap(state, tmp_path)

    assert installation.lock_hash() == state.note("label-studio.bootstrapped")["lock"]
