"""What the commands around models say to a person."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app, models
from flows.cli.models import NoLoginName, approver, say_of_training, show_verdict
from flows.promote_champion import PromoteReport
from flows.rescore import RescoreReport
from flows.rollback import RollbackReport
from flows.train_challenger import TrainReport
from hitl.evaluation import Outcome, Reason
from hitl.records import ModelState, ModelVersion, SnapshotId

REPORT = TrainReport(
    model_version=ModelVersion("m1"),
    snapshot_id=SnapshotId("s1"),
    training_examples=72,
    test_examples=28,
    test_average_precision=None,
    is_new=True,
    state=ModelState.CHALLENGER,
    awaits_promotion=True,
    constant_categories=(),
    pooled_categories=(),
)


def test_a_user_without_a_name_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)

    assert "ana" == approver("ana")
    with pytest.raises(NoLoginName, match="--approved-by"):
        approver(None)


def test_a_training_says_what_it_could_not_learn_and_where_it_leads_nowhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_of_training(REPORT)
    quiet = capsys.readouterr().out
    say_of_training(
        replace(
            REPORT,
            state=ModelState.RETIRED,
            awaits_promotion=False,
            constant_categories=("spam",),
            pooled_categories=("hate", "scam"),
        )
    )

    lines = capsys.readouterr().out.splitlines()

    assert not quiet
    assert lines[0].startswith("spam: every training answer is the same")
    assert lines[1].startswith("hate, scam: too few answers of one kind")
    assert lines[2].startswith("m1 is retired, trained before")
    assert "--seed" in lines[2]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a rollback without a world does, in its order."""
    done: list[str] = []

    @contextmanager
    def nothing() -> Iterator[Any]:
        yield SimpleNamespace(
            engine=None, policy=None, settings=SimpleNamespace(state_folder=Path())
        )

    def go_back(*_: Any, leaving: str | None, **__: Any) -> RollbackReport:
        done.append(f"left {leaving or 'the champion'}")
        return RollbackReport(ModelVersion("m1"), ModelVersion("m2"))

    def decide(*_: Any, **__: Any) -> RescoreReport:
        done.append("decided")
        return RescoreReport(ModelVersion("m1"), 1200, 1200)

    monkeypatch.setattr(models, "open_world", nothing)
    monkeypatch.setattr("flows.rollback.rollback", go_back)
    monkeypatch.setattr("flows.steps.rescore", decide)
    return done


def test_a_rollback_decides_at_once_and_says_who_is_champion(told: list[str]) -> None:
    shown = CliRunner().invoke(app, ["rollback", "--note", "bad", "--leaving", "m2"])

    assert 0 == shown.exit_code, shown.output
    assert ["left m2", "decided"] == told
    assert "champion is m1 again, and m2 is not" in shown.output
    assert "it decided on 1,200 items" in shown.output


def test_a_rollback_prints_one_document_and_may_leave_deciding_for_later(told: list[str]) -> None:
    shown = CliRunner().invoke(app, ["rollback", "--note", "bad", "--no-rescore", "--json"])

    assert ["left the champion"] == told
    assert {"champion": "m1", "left": "m2"} == json.loads(shown.stdout)


def test_a_verdict_tells_what_decided_and_counts_what_is_noted_of_slices(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def reason(outcome: Outcome, words: str, language: str = "") -> Reason:
        return Reason(
            "obligation", outcome, "hate", 0.0, None, None, None, None, 60, 60, words,
            slice_name="language" if language else "", slice_value=language,
        )  # fmt: skip

    numbers = (
        reason(Outcome.UNDECIDED, "recall in German", "de"),
        reason(Outcome.NOTED, "recall in Danish", "da"),
        reason(Outcome.NOTED, "McNemar"),
    )
    report = PromoteReport(
        ModelVersion("m2"), ModelVersion("m1"), "insufficient", True,
        tuple(map(str, numbers)), verdict_id=7, approved_by="ana", numbers=numbers,
    )  # fmt: skip

    show_verdict(report, as_json=False)
    shown = capsys.readouterr().out
    show_verdict(report, as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert "undecided: recall in German" in shown
    assert "noted: McNemar" in shown
    assert "Danish" not in shown
    assert "noted: 1 more of languages and surfaces" in shown
    assert "kept as verdict 7" in shown
    assert "m2 is champion, approved by ana" in shown
    assert ["de", "da", ""] == [one["slice_value"] for one in document["numbers"]]
    assert (7, "ana") == (document["verdict_id"], document["approved_by"])
