"""What `hitl backlog` says to a person, and to a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from flows import steps
from flows.backlog_status import BacklogStatus
from flows.certify_backlog import CertifiedLook
from flows.cli import app, backlog
from flows.look_at_backlog import LookReport
from flows.open_backlog import OpenReport
from hitl.evaluation.backlogs import Backlog, Forecast, Look, Rule
from hitl.records import PolicyId

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SHORT = Look(1, 7, 90, 9100, 465, 1499, 0.04, NOON, 11, 2, 0, 476, 98, 0.82926, False, NOON)
OPEN = Look(
    1, 7, 90, 9100, 465, 1499, 0.04, NOON, None, None, None, None, None, None, None, None
)  # fmt: skip
JUNE = Backlog(1, "june", PolicyId("community@1-x"), "hate", 0.9, 0.95, {}, 10_000, NOON)
STATUS = BacklogStatus(
    "june", "community@1-x", "hate", 0.9, 0.95, {}, NOON, 10_000, 900, 465, 9100,
    Forecast(18.2, 9100, 9100), 60.0, 1499, 12.5, (OPEN,), {"answered": 3, "open": 1496},
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nothing() -> Iterator[None]:
        yield None

    monkeypatch.setattr(backlog, "open_world", nothing)


def run(monkeypatch: pytest.MonkeyPatch, step: str, report: Any, *words: str) -> str:
    asked: dict[str, Any] = {}

    def told(world: None, **given: Any) -> Any:
        asked.update(given)
        return report

    monkeypatch.setattr(steps, step, told)
    done = CliRunner().invoke(app, ["backlog", *words], env={"COLUMNS": "160"})
    assert 0 == done.exit_code, done.output
    run.asked = asked  # type: ignore[attr-defined]
    return done.output


def certified(look: Look, *, next_draw: int | None = None, to_find: int = 0) -> CertifiedLook:
    return CertifiedLook("june", "hate", 0.9, 0.95, 10_000, look, True, next_draw, to_find)


def test_an_opening_names_its_rule_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(
        monkeypatch, "open_backlog", OpenReport("june", 10_000, 900, 465, NOON, True), "open",
        "june", "--surface", "posts", "--surface", "chat", "--since", "2026-06-01",
        "--at-least", ".8",
    )  # fmt: skip

    assert "june: 10,000 items; 900 of them are reviewed, 465 of these violate" in said
    wanted = Rule(surfaces=("chat", "posts"), since=datetime(2026, 6, 1, tzinfo=UTC))
    assert (wanted, 0.8, "any") == tuple(
        run.asked[one]  # type: ignore[attr-defined]
        for one in ("rule", "at_least", "category")
    )


def test_a_forecast_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(monkeypatch, "backlog_status", STATUS, "status", "june")

    assert "a forecast and no evidence: models expect about 18 of these to violate" in said
    assert "the last look saw its draw, about 60 would" in said
    assert "a draw of 1,499, four times in five; some 12.5 hours of review" in said
    assert "of the open draw: 3 answered, 1,496 open" in said
    blind = replace(STATUS, forecast=None, seen_left=None, draw_needed=None, hours=None)
    assert "there is no forecast" in run(monkeypatch, "backlog_status", blind, "status", "june")


def test_what_is_in_the_way_of_a_look_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    report = LookReport("june", 1, False, 7, 9100, 1499, 4, 1400, 90, 6, 3)

    said = run(monkeypatch, "look_at_backlog", report, "look", "june")

    assert "june, look 1 goes on: 1,499 drawn of 9,100" in said
    assert "4 asked now, 1,400 in the queue in all, 90 answered" in said
    assert "6 open under another policy, 3 without an answer" in said


def test_a_certificate_never_claims_more_than_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    look = replace(SHORT, recall_at_least=0.90999, is_certified=True, lost=0)

    said = run(monkeypatch, "certify_backlog", certified(look), "certify", "june")

    assert "certified: at least 90.9% of what violates hate in june has been found" in said
    assert "(look 1, 95% confidence over all looks)" in said
    assert "so at most 98 are still missed" in said


def test_no_certificate_comes_with_what_it_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    report = certified(SHORT, next_draw=3851, to_find=3)

    said = run(monkeypatch, "certify_backlog", report, "certify", "june")

    assert "not certified: this shows that 82.9% of what violates hate" in said
    assert "2 drawn items have no answer and count as missed" in said
    assert "about 3 more that violate must be found" in said
    assert "a next look would do with a draw of 3,851" in said


def test_every_backlog_is_listed_with_its_newest_look(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(JUNE, (SHORT,)), (replace(JUNE, name="july"), ())]

    said = run(monkeypatch, "list_backlogs", found, "list")
    told = json.loads(run(monkeypatch, "list_backlogs", found, "list", "--json"))

    assert "not certified" in said
    assert "never looked at" in said
    assert [("june", 1), ("july", 0)] == [(one["name"], len(one["looks"])) for one in told]


def test_programs_get_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads(
        run(monkeypatch, "certify_backlog", certified(SHORT), "certify", "june", "--json")
    )
    status = json.loads(run(monkeypatch, "backlog_status", STATUS, "status", "june", "--json"))

    assert 0.82926 == told["result"]["recall_at_least"]
    assert 18.2 == status["forecast"]["violating"]
