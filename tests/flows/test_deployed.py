"""What a step's result shows and sets off, without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.states import Failed

from flows import deployed
from flows.deployed import StepBroke
from flows.events import LABELS_READY, events_after
from flows.ingest_decisions import IngestReport
from flows.plain import figures, plain, table_of
from hitl.db import AlreadyRunning
from hitl.decisions import Counts
from hitl.errors import NotYet, Refused, Unavailable


class Colour(Enum):
    RED = "red"


def make_result(report: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"report": report, "policy": "community"} | changed


def make_measurement(**changed: Any) -> dict[str, Any]:
    return {
        "metric": "precision", "category": "hate", "slice_name": "", "slice_value": "",
        "kind": "descriptive", "value": 0.75, "low": 0.5, "high": 0.9, "n": 12,
        "n_effective": 11.0, "code": None, "method": "wilson",
    } | changed  # fmt: skip


def test_a_report_becomes_values_that_json_can_hold() -> None:
    moment = datetime(2026, 6, 1, 12, tzinfo=UTC)
    value = {1: Path("a/b"), "when": moment, "what": Colour.RED, "n": np.int64(3), "s": {3, 1, 2}}

    found = plain(value)

    assert {
        "1": "a/b", "when": "2026-06-01T12:00:00+00:00", "what": "red", "n": 3, "s": [1, 2, 3],
    } == found  # fmt: skip


def test_a_record_in_a_report_becomes_dotted_figures() -> None:
    report = IngestReport(("a.csv", "b.csv"), Counts(read=3, new=2, known=1), Counts())

    lines = dict(figures(report))

    assert "a.csv, b.csv" == lines["sources"]
    assert "2" == lines["contents.new"]
    assert "-" == lines["absent_columns"]


def test_long_lists_are_counted_and_long_values_cut() -> None:
    lines = dict(figures({"entries": list(range(5_000)), "parts": [{"a": 1}], "why": "x" * 900}))

    assert "5000 of them" == lines["entries"]
    assert "1 of them" == lines["parts"]
    assert 300 == len(lines["why"])


def test_the_table_of_measure_has_a_line_a_metric_and_a_code_where_there_is_no_value() -> None:
    found = [
        make_measurement(),
        make_measurement(category="spam", value=None, code="too_few_labels"),
        make_measurement(slice_name="language", slice_value="en"),
    ]

    table = table_of("measure", {"by_model": {"m1": found}})

    assert [("m1", "hate", 0.75), ("m1", "spam", "too_few_labels")] == [
        (line["model"], line["category"], line["value"]) for line in table
    ]


def test_the_table_of_a_look_has_a_line_a_question_that_could_be_answered() -> None:
    about = {"kind": "scores", "category": "hate", "slice_name": "language", "slice_value": "de"}
    told = {"about": about | {"model_version": "m1"}, "code": None, "statistic": 0.2, "bar": 0.1,
            "p_value": 1e-9, "level": 1e-5, "effect": 0.1, "low": 0.05}  # fmt: skip

    [line] = table_of("watch_drift", {"shifts": [told, told | {"code": "too_few_items"}]})

    assert ("scores", "hate", "language de", "m1", 0.2) == (
        line["kind"], line["category"], line["slice"], line["model"], line["statistic"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("new_labels", "undecided", "expected"),
    [
        (199, 199, []),
        (200, 200, [{"labels": 200}]),
        (219, 19, []),  # it was decided on nearly as many already
        (220, 20, [{"labels": 220}]),
    ],
)
def test_collecting_calls_for_a_decision_once_there_are_enough_new_labels(
    new_labels: int, undecided: int, expected: list[dict[str, int]]
) -> None:
    result = make_result({}, new_labels=new_labels, undecided=undecided, retrain_after=200)

    found = events_after("collect_annotations", result)

    assert [(LABELS_READY, payload) for payload in expected] == found


@pytest.mark.parametrize(
    ("step", "report", "event"),
    [
        ("freeze_snapshot", {"is_new": True, "snapshot_id": "s1"}, "hitl.snapshot.frozen"),
        ("train_challenger", {"is_new": True, "model_version": "m1"}, "hitl.challenger.trained"),
        ("shadow", {"is_first": True, "model_version": "m1"}, "hitl.challenger.decided"),
        ("promote_champion", {"promoted": True, "model_version": "m1"}, "hitl.champion.promoted"),
        ("rescore", {"is_first": True, "model_version": "m1"}, "hitl.champion.decided"),
        (
            "certify",
            {"model_version": "m1", "found": [{"is_new": False}, {"is_new": True}]},
            "hitl.certificates.issued",
        ),
        (
            "monitor",
            {"model_version": "m1", "watched": [{"is_withdrawn": True}]},
            "hitl.certificate.withdrawn",
        ),
        (
            "decide_retrain",
            {"retrain": True, "new_labels": 9, "reasons": [{"rule": "age", "fired": True}]},
            "hitl.retrain.decided",
        ),
        (
            "watch_drift",
            {"raised": 1, "lasting": 0, "end": "2026-06-01T00:00:00+00:00"},
            "hitl.drift.alarmed",
        ),
        (
            "watch_drift",
            {"raised": 0, "lasting": 1, "end": "2026-06-01T00:00:00+00:00"},
            "hitl.drift.alarmed",
        ),
    ],
)
def test_a_step_that_made_something_new_sets_off_the_next(
    step: str, report: dict[str, Any], event: str
) -> None:
    found = events_after(step, make_result(report))

    assert [event] == [name for name, _ in found]


@pytest.mark.parametrize(
    ("step", "report"),
    [
        ("freeze_snapshot", {"is_new": False, "snapshot_id": "s1"}),
        ("train_challenger", {"is_new": False, "model_version": "m1"}),
        ("shadow", {"is_first": False, "model_version": "m1"}),
        ("promote_champion", {"promoted": False, "model_version": "m1"}),
        ("select_batch", {"is_new": True}),
        ("rescore", {"is_first": False, "model_version": "m1"}),
        ("certify", {"model_version": "m1", "found": [{"is_new": False}]}),
        ("monitor", {"model_version": "m1", "watched": [{"is_withdrawn": False}]}),
        ("decide_retrain", {"retrain": False, "new_labels": 9, "reasons": []}),
        ("watch_drift", {"raised": 0, "lasting": 0, "end": "2026-06-01T00:00:00+00:00"}),
    ],
)
def test_a_step_that_found_its_work_done_sets_off_nothing(
    step: str, report: dict[str, Any]
) -> None:
    assert [] == events_after(step, make_result(report))


def test_a_stranger_s_error_is_told_by_kind_and_place_and_not_in_its_words() -> None:
    try:
        raise ValueError("cannot parse 'canary text'")
    except ValueError as error:
        broke = StepBroke("ingest_decisions", error)

    assert "canary" not in str(broke)
    assert "ingest_decisions broke: ValueError at test_deployed.py:" in str(broke)


class NothingYet(NotYet):
    """A step without anything to do."""


@pytest.mark.parametrize(
    ("reason", "is_busy"), [(AlreadyRunning("rescore"), True), (NothingYet("no champion"), False)]
)
def test_a_skipped_step_says_whether_another_run_is_at_it(
    reason: NotYet, is_busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refuse() -> Iterator[None]:
        raise reason
        yield

    monkeypatch.setattr(deployed, "open_world", refuse)

    found = deployed._carry_out("rescore", {}, lambda *_: None)

    assert {"skipped": str(reason), "is_busy": is_busy} == found


def test_a_long_step_that_does_not_count_still_shows_that_it_is_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[tuple[str, bool]] = []

    async def show(
        artifact: Any, name: str, so_far: int, total: int | None, *, is_done: bool
    ) -> str:
        shown.append((name, is_done))
        return "artifact"

    monkeypatch.setattr(deployed, "_PROGRESS_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(deployed, "_show_progress", show)
    monkeypatch.setattr(deployed, "_carry_out", lambda *_: time.sleep(0.1) or {"report": {}})

    asyncio.run(deployed.attempt.fn("train_challenger", {}))

    assert ("train_challenger", False) == shown[0]
    assert ("train_challenger", True) == shown[-1]


@pytest.mark.parametrize(
    ("error", "expected"), [(Unavailable("away"), True), (Refused("no"), False), (OSError(), False)]
)
def test_only_what_is_unavailable_is_tried_again(error: Exception, expected: bool) -> None:
    state = Failed(data=error)

    found = asyncio.run(deployed._only_unavailable(None, None, state))

    assert expected == found


def test_a_moment_without_a_zone_is_meant_in_utc() -> None:
    noon = datetime(2026, 6, 1, 12)  # noqa: DTZ001 - as a form gives it
    elsewhere = noon.replace(tzinfo=timezone(timedelta(hours=2)))

    assert datetime(2026, 6, 1, 12, tzinfo=UTC) == deployed._in_utc(noon)
    assert elsewhere == deployed._in_utc(elsewhere)
    assert deployed._in_utc(None) is None
