"""What a person sees of near copies: what was linked, proposed and found wrong, never content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from flows.cli import app
from tests.flows.test_cli_intake import POLICY
from tests.flows.test_select_twins import answer, fill

pytestmark = pytest.mark.postgres

RECIPE = """
[selection]
batch_size = 60
audit_fraction = 0.5
[twins]
is_on = true
offers_labels = true
audit_of_offers = 0.5
audits_an_answer = 20
"""


@pytest.fixture(autouse=True)
def _a_world_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    for name, body in (("policy", POLICY), ("recipe", RECIPE)):
        path = tmp_path / f"{name}.toml"
        path.write_text(body, encoding="utf-8")
        monkeypatch.setenv(f"HITL_{name.upper()}", str(path))
    monkeypatch.setenv("HITL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HITL_DATABASE_URL", database_url)


def run(*arguments: str) -> str:
    shown = CliRunner().invoke(app, list(arguments))
    assert 0 == shown.exit_code, shown.output
    return shown.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_the_stats_grow_with_what_is_linked_asked_proposed_and_checked(engine: Engine) -> None:
    from flows.wiring import open_world

    _, spam = fill(engine)

    linked = run_json("twins", "link")
    again = run_json("twins", "link")
    before = run_json("twins", "stats")
    run("select", "--batch", "b1")
    with open_world() as world:
        answer(engine, world.policy, spam)
    offered = run_json("twins", "offer")
    run("select", "--batch", "b2")
    with open_world() as world:
        answer(engine, world.policy, spam)
    after = run_json("twins", "stats")
    shown = run("twins", "stats")

    assert (400, 0) == (linked["items"], again["items"])
    assert 400 == before["clusters"][0]["items"]
    assert 0 == before["offers"]["offers"]
    assert "no_labels" == before["errors"]["any"]["code"]
    assert offered["offered"] == after["offers"]["offers"] > 0
    assert 0 < after["offers"]["answered"] <= after["offers"]["audited"]
    error = after["errors"]["spam"]
    assert (after["offers"]["answered"], "too_few_events") == (error["n"], error["code"])
    assert "wrong in spam: proposal_error too_few_events" in shown
    assert not any(text in shown for text in spam.values())
