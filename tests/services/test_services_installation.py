from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hitl.services import doctor, install, installation
from hitl.services.errors import InstallFailed, WrongEnvironment
from hitl.services.state import StateFolder

# Stands where a venv's python would: notes each call, and fails as often as it is told.
FAKE_PYTHON = """#!{python}
import pathlib, sys
calls = pathlib.Path({calls!r})
with calls.open("a") as file:
    file.write(" ".join(sys.argv[1:4]) + "\\n")
if len(calls.read_text().splitlines()) <= {failures}:
    print("no space left")
    sys.exit(1)
print("Collecting one==1")
print("Collecting two==2")
print("Installing collected packages: one, two")
"""


def make_venv(state: StateFolder, *, failures: int) -> Path:
    venv = installation.venv_of(state, None)
    (venv / "bin").mkdir(parents=True)
    python = installation.python_of(venv)
    calls = state.path / "calls"
    python.write_text(
        FAKE_PYTHON.format(python=sys.executable, calls=str(calls), failures=failures)
    )
    python.chmod(0o755)
    (venv / "bin" / "pip").touch()
    return calls


def make_given(venv: Path, *, version: str) -> Path:
    """An environment of somebody's own, with this Label Studio."""
    packages = venv / "lib" / "python3.12" / "site-packages"
    (packages / "label_studio").mkdir(parents=True)
    (packages / "label_studio" / "server.py").touch()
    (packages / f"label_studio-{version}.dist-info").mkdir()
    (venv / "bin").mkdir()
    installation.python_of(venv).symlink_to(sys.executable)
    return venv


def test_the_lock_pins_every_package_and_names_no_host() -> None:
    lines = installation.lock_file().read_text().splitlines()

    loose = [line for line in lines if "==" not in line]

    assert [] == loose
    assert not any(mark in line for line in lines for mark in ("://", "@", "+cpu", "/", "-e "))
    assert {"label-studio==1.23.2", "gunicorn==27.0.1"} <= set(lines)


def test_an_install_tells_how_far_it_is_and_is_done_once(tmp_path: Path) -> None:
    state, said = StateFolder(tmp_path / "state").prepare(), []
    calls = make_venv(state, failures=0)

    first = installation.ensure_installed(state, progress=said.append)
    second = installation.ensure_installed(state, progress=said.append)

    pins = len(installation.lock_file().read_text().splitlines())
    assert first == second
    assert ["-m pip install"] == calls.read_text().splitlines()
    assert f"label-studio: fetching package 2 of {pins} (about 1 GB)" in said


def test_a_failed_install_says_so_with_its_log_and_goes_on_next_time(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state").prepare()
    calls = make_venv(state, failures=1)

    with pytest.raises(InstallFailed, match="no space left") as failed:
        installation.ensure_installed(state)
    was_ready = installation.is_installed(installation.venv_of(state, None))
    venv = installation.ensure_installed(state)

    assert not was_ready
    assert installation.is_installed(venv)
    assert 2 == len(calls.read_text().splitlines())
    assert str(state.log("label-studio-install")) in str(failed.value)


def test_an_install_of_another_lock_is_not_taken_for_this_one(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state").prepare()
    calls = make_venv(state, failures=0)
    venv = installation.ensure_installed(state)
    (venv / "hitl-ready").write_text("another")

    installation.ensure_installed(state)

    assert 2 == len(calls.read_text().splitlines())


def test_a_given_environment_without_label_studio_is_named_with_the_mend(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state").prepare()

    with pytest.raises(WrongEnvironment, match=r"HITL_LABEL_STUDIO_VENV.*: holds no label_studio"):
        installation.ensure_installed(state, given=tmp_path / "nothing")

    assert installation.find_installed(state.path, tmp_path / "nothing") is None


def test_a_given_environment_is_used_and_never_written(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state").prepare()
    given = make_given(tmp_path / "theirs", version="1.23.2")
    before = sorted(given.rglob("*"))

    used = installation.ensure_installed(state, given=given)

    assert given == used
    assert before == sorted(given.rglob("*"))


def test_a_given_environment_of_another_version_is_refused_before_it_migrates_anything(
    tmp_path: Path,
) -> None:
    state = StateFolder(tmp_path / "state").prepare()
    given = make_given(tmp_path / "theirs", version="1.20.0")

    with pytest.raises(WrongEnvironment, match=r"holds Label Studio 1\.20\.0, this needs 1\.23\.2"):
        installation.ensure_installed(state, given=given)

    assert "fail" == doctor.label_studio_venv(state, given).level


def test_an_environment_that_was_cut_off_before_it_had_pip_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateFolder(tmp_path / "state").prepare()
    calls = make_venv(state, failures=0)
    venv = installation.venv_of(state, None)
    (venv / "bin" / "pip").unlink()
    monkeypatch.setattr(sys, "executable", str(installation.python_of(venv)))

    installation.ensure_installed(state)

    assert ["-m venv --clear", "-m pip install"] == calls.read_text().splitlines()


def test_a_python_that_cannot_make_environments_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateFolder(tmp_path / "state").prepare()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(InstallFailed, match="apt install python3-venv"):
        installation.ensure_installed(state)


def test_the_install_command_says_what_is_wrong_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HITL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HITL_LABEL_STUDIO_VENV", str(tmp_path / "nothing"))

    status = install.main()

    assert 1 == status
    assert "holds no label_studio" in capsys.readouterr().err
