"""The command line as a whole: every command has an example, and no fault shows a value."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from flows import cli
from flows.cli import app
from hitl.services import Endpoints, ServiceStatus
from hitl.services.state import StateFolder
from hitl.settings import Settings

CANARY = "quokka-canary-7731"


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if not hasattr(command, "commands"):
        yield path
        return
    for name, one in command.commands.items():
        yield from _commands(one, (*path, name))


COMMANDS = list(_commands(typer.main.get_command(app)))
PRINTS_FIGURES = [
    path
    for path in COMMANDS
    # They print where things are, one version, and a page of Markdown.
    if path not in (("down",), ("migrate",), ("serve",), ("report", "card"))
]


@pytest.fixture(autouse=True)
def _a_world_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HITL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HITL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")


def _named(path: tuple[str, ...]) -> str:
    return " ".join(path)


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("path", COMMANDS, ids=_named)
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...]) -> None:
    shown = _run(*path, "--help")

    assert 0 == shown.exit_code
    assert f"hitl {_named(path)}" in shown.stdout.split("Example:")[1]


@pytest.mark.parametrize("path", COMMANDS, ids=_named)
def test_wrong_usage_of_any_command_exits_with_2(path: tuple[str, ...]) -> None:
    assert 2 == _run(*path, "--no-such-option").exit_code


@pytest.mark.parametrize("path", PRINTS_FIGURES, ids=_named)
def test_every_command_that_prints_figures_speaks_json(path: tuple[str, ...]) -> None:
    assert "--json" in _run(*path, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("select", "--limit", "0"),
        ("select", "--limit", "-3"),
        ("dispatch", "--limit", "-1"),
        ("measure", "--kind", "foo"),
        ("ingest", "x.csv", "--kind", "foo"),
        ("demo", "--rounds", "0"),
        ("demo", "--items", "500"),  # five rounds of 120 are more
        ("demo", "--labels", "5000"),
    ],
    ids=" ".join,
)
def test_values_that_mean_nothing_are_wrong_usage(arguments: tuple[str, ...]) -> None:
    shown = _run(*arguments)

    assert 2 == shown.exit_code
    assert arguments[-2] in shown.output or "--items" in shown.output


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """`hitl …` as the console script runs it: its exit code."""
    monkeypatch.setattr(sys, "argv", ["hitl", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def break_in(*_: Any, **__: Any) -> None:
    raise ValueError(f"no such row: {CANARY}")


def test_an_unexpected_fault_is_told_by_kind_and_place_and_not_in_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.cli.look.open_world", break_in)

    code = main(monkeypatch, "models")

    shown = capsys.readouterr()
    assert 1 == code
    assert "ValueError at test_cli.py:" in shown.err
    assert "HITL_DEBUG=1" in shown.err
    assert CANARY not in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_its_traceback_is_shown_to_who_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cli.look.open_world", break_in)
    monkeypatch.setenv("HITL_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["hitl", "models"])

    with pytest.raises(ValueError, match=CANARY):
        cli.main()


def test_a_refusal_is_one_message_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(monkeypatch, "models")

    assert 1 == code
    assert "refused: no database: run `hitl up`" in capsys.readouterr().err


@pytest.mark.postgres
@pytest.mark.parametrize("command", ["migrate", "up"])
def test_what_needs_no_policy_is_not_refused_for_a_broken_one(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str
) -> None:
    (tmp_path / "policy.toml").write_text("not toml at all [")
    monkeypatch.setenv("HITL_POLICY", str(tmp_path / "policy.toml"))
    monkeypatch.setenv("HITL_DATABASE_URL", database_url)
    monkeypatch.setenv("HITL_LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", "token")

    shown = _run(*((command,) if command == "migrate" else (command, "--no-prefect")))

    assert 0 == shown.exit_code, shown.output


class Servers:
    """The servers of one state folder, as far as `hitl down` and `hitl status` ask."""

    def __init__(self, settings: Settings, running: set[str]) -> None:
        self.state = StateFolder(settings.state_folder)
        self._running = running

    def down(self, _progress: Any) -> bool:
        name = self.state.path.name
        was_running = name in self._running
        self._running.discard(name)
        return was_running

    def status(self) -> list[ServiceStatus]:
        return [ServiceStatus("postgres", "running")]

    def endpoints(self) -> Endpoints:
        return Endpoints(label_studio_email="lead", label_studio_password=SecretStr("open sesame"))


def test_down_also_stops_the_demos_and_says_what_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = {"state-demo", "state-log", "somebody-elses"}
    monkeypatch.setattr("flows.cli.servers.stack_of", lambda one: Servers(one, running))

    first, again = _run("down"), _run("down")

    assert {"somebody-elses"} == running
    assert ["state was running", "state-demo", "state-log"] == [
        line.rpartition("/")[2] for line in first.stdout.splitlines()
    ]
    assert 1 == len(again.stdout.splitlines())


def test_status_as_json_shows_the_password_only_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.cli.servers.stack_of", lambda one: Servers(one, set()))

    asked, unasked = (
        json.loads(_run("status", "--json", *more).stdout) for more in (["--password"], [])
    )

    assert {"email": "lead", "password": "open sesame"} == asked.pop("label_studio_login")
    assert asked == unasked
    assert ["postgres"] == [one["name"] for one in unasked["servers"]]


@pytest.mark.postgres
@pytest.mark.parametrize(
    "arguments",
    [
        ("queue", "stats"),
        ("queue", "stats", "--by", "lane"),
        ("queue", "stats", "--by", "reviewer"),
        ("queue", "list"),
        ("queue", "skills"),
        ("queue", "sweep"),
        ("queue", "requeue", "--lane", "german"),
        ("rejects",),
        ("models",),
        ("verdicts",),
        ("measure",),
        ("reconcile", "--no-label-studio"),
        ("status",),
    ],
    ids=" ".join,
)
def test_json_on_an_empty_database_is_json(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("HITL_DATABASE_URL", database_url)

    shown = _run(*arguments, "--json")

    assert 0 == shown.exit_code, shown.output
    json.loads(shown.stdout)


@pytest.mark.postgres
def test_who_may_take_what_is_said_and_unsaid(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("HITL_DATABASE_URL", database_url)

    _run("queue", "allow", "ana", "--lane", "german", "--tier", "2")
    said = json.loads(_run("queue", "skills", "--json").stdout)
    _run("queue", "disallow", "ana", "--lane", "german")

    assert [{"holder": "ana", "lane": "german", "tier": 2}] == said
    assert [] == json.loads(_run("queue", "skills", "--json").stdout)


@pytest.mark.postgres
def test_measuring_where_nothing_was_decided_says_so(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("HITL_DATABASE_URL", database_url)

    shown = _run("measure")

    assert 0 == shown.exit_code
    assert "no model decided" in shown.output
