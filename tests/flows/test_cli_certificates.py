"""What `hitl certify` and `hitl monitor` say to a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from flows import steps
from flows.certify import Certified, CertifyReport
from flows.cli import app, certificates
from flows.monitor import MonitorReport, Watched
from hitl.records import ModelVersion

HATE = Certified("hate", "", "", 0.0312, 0.9127, 0.14, 1204, 312, 1, True, ())
INSULT = Certified(
    "insult",
    "language",
    "de",
    None,
    None,
    1.0,
    90,
    None,
    2,
    False,
    ("recall of 0.9 needs 36 more",),
)
KEPT = Watched("hate", "", "precision", 0.95, 40, 39, 0.8, False)
LOST = Watched("hate", "", "recall", 0.9, 80, 60, 31.2, True)


@pytest.fixture(autouse=True)
def _no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nothing() -> Iterator[None]:
        yield None

    monkeypatch.setattr(certificates, "open_world", nothing)


def run(monkeypatch: pytest.MonkeyPatch, step: str, report: Any, *options: str) -> str:
    monkeypatch.setattr(steps, step, lambda world, *, progress: report)
    done = CliRunner().invoke(app, [step, *options], env={"COLUMNS": "160"})
    assert 0 == done.exit_code, done.output
    return done.output


def test_thresholds_and_what_is_missing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    report = CertifyReport(ModelVersion("m1"), 1204, (HATE, INSULT))

    said = run(monkeypatch, "certify", report)

    assert "0.9127" in said
    assert "312" in said
    assert "everywhere" in said
    assert "as before" in said
    assert "insult in de: recall of 0.9 needs 36 more" in said


def test_a_policy_without_obligations_is_told_how_to_write_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = run(monkeypatch, "certify", CertifyReport(ModelVersion("m1"), 0, ()))

    assert "obligation = { precision = 0.95" in said


def test_what_stands_and_what_does_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(monkeypatch, "monitor", MonitorReport(ModelVersion("m1"), (KEPT, LOST)))

    assert "stands" in said
    assert "withdrawn" in said
    assert "31.2 of 20" in said
    nothing = run(monkeypatch, "monitor", MonitorReport(ModelVersion("m1"), ()))
    assert "no certificate stands" in nothing


def test_programs_get_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    report = CertifyReport(ModelVersion("m1"), 1204, (HATE, INSULT))
    told = json.loads(run(monkeypatch, "certify", report, "--json"))
    watched = MonitorReport(ModelVersion("m1"), (KEPT, LOST))
    looked = json.loads(run(monkeypatch, "monitor", watched, "--json"))

    assert [0.9127, None] == [one["block_from"] for one in told["found"]]
    assert 1 == looked["withdrawn"]
