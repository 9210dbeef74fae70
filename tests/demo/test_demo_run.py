"""How a demo ends: well, short, broken, or interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from flows.cli import app
from flows.demo import place, run
from flows.demo.run import DemoFellShort, Outcome, Wanted, play
from hitl.services import Endpoints

WANTED = Wanted(data=None, rounds=1, labels=20, reviewers=2, curve_seeds=0, items=500)


class Servers:
    """Servers that are up once they were asked to be."""

    is_up = False

    def up(self, progress: Any) -> Endpoints:
        self.is_up = True
        return self.endpoints()

    def down(self) -> None:
        self.is_up = False

    def endpoints(self) -> Endpoints:
        return Endpoints(database_url=SecretStr("postgresql://h/d") if self.is_up else None)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Servers:
    made = Servers()
    monkeypatch.setattr(os, "environ", {"HITL_STATE": str(tmp_path / "mine")})
    monkeypatch.setattr(place, "ensure_installed", lambda *_, **__: tmp_path)
    monkeypatch.setattr(run, "stack_of", lambda _: made)
    return made


def make_outcome(**changed: Any) -> Outcome:
    fields: dict[str, Any] = {
        "title": "a stream",
        "is_synthetic": True,
        "state": Path("mine-demo"),
        "rounds": (),
        "before": (),
        "books": (),
        "pictures": (),
        "label_studio_url": None,
        "prefect_api_url": None,
        "faults": (),
    }
    return Outcome(**(fields | changed))


def raising(error: BaseException) -> Any:
    def fall(*_: Any) -> None:
        raise error

    return fall


def test_a_demo_that_breaks_says_that_its_servers_still_run(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "_play", raising(ValueError("a fault")))

    with pytest.raises(ValueError, match="a fault"):
        play(WANTED)

    assert servers.is_up
    assert "servers still run; `make down`" in capsys.readouterr().err


def test_an_interrupted_demo_stops_its_servers(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_play", raising(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        play(WANTED)

    assert not servers.is_up


@pytest.mark.parametrize(
    ("faults", "code"), [((), 0), (("the books do not balance (the table says where)",), 1)]
)
def test_the_exit_code_tells_whether_all_is_as_it_should_be(
    faults: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "play", lambda _: make_outcome(faults=faults))

    shown = CliRunner().invoke(app, ["demo", "--json"])

    assert code == shown.exit_code
    assert list(faults) == json.loads(shown.stdout)["faults"]
    assert isinstance(shown.exception, DemoFellShort) == bool(faults)
