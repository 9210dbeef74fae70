"""What the commands around models say to a person."""

from __future__ import annotations

import getpass
from dataclasses import replace

import pytest

from flows.cli.models import NoLoginName, approver, say_of_training
from flows.train_challenger import TrainReport
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
