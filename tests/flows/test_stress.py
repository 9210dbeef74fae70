"""`hitl stress`: latency from when work was due, bounds that fail, and rows that add up."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from flows.cli import app
from flows.stress import Load, stress
from flows.stressing.load import Ended, Pace, Timings, offer
from flows.stressing.people import Producer
from flows.stressing.report import Bounds, figures_of, missed_bounds
from hitl.db import connect
from hitl.settings import Settings


class Clock:
    """A clock that moves only while somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


def paced(work: Callable[[int, float], Ended], clock: Clock, *, patience: float = 100.0) -> Any:
    pace = Pace(0.0, 5.0, patience, clock=clock, sleep=clock.sleep)
    return offer("push", work, every=1.0, workers=1, pace=pace)


def test_work_that_keeps_up_is_as_slow_as_it_is() -> None:
    clock = Clock()

    def work(number: int, due: float) -> Ended:
        clock.sleep(0.25)
        return "done"

    found = paced(work, clock)

    assert [0.25] * 5 == pytest.approx(found.stage.seconds)
    assert (5, 5, 0) == (found.due, found.done, found.dropped)


def test_a_stall_makes_all_that_was_due_meanwhile_late() -> None:
    clock = Clock()

    def work(number: int, due: float) -> Ended:
        clock.sleep(3.0 if number == 0 else 0.1)
        return "done"

    found = paced(work, clock)

    assert [3.0, 2.1, 1.2, 0.3, 0.1] == pytest.approx(found.stage.seconds)


def test_what_nobody_begins_in_time_is_dropped_and_counted() -> None:
    clock = Clock()

    def work(number: int, due: float) -> Ended:
        clock.sleep(3.0 if number == 0 else 0.0)
        return "done"

    found = paced(work, clock, patience=1.5)

    assert (5, 4, 1) == (found.due, found.done, found.dropped)


def test_what_finds_nothing_to_do_is_no_latency() -> None:
    found = paced(lambda number, due: "idle", Clock())

    assert (5, 0, 5, []) == (found.due, found.done, found.idle, found.stage.seconds)


def test_bounds_are_held_against_what_somebody_waits_for() -> None:
    stages = figures_of(
        [
            Timings("push", [0.1] * 100),
            Timings("select", [9.0]),
            Timings("claim", []),
            Timings("review", [2.0]),
        ]
    )

    missed = missed_bounds(stages, drop_rate=0.02, bounds=Bounds(p99_ms=500.0, drop_rate=0.01))

    assert ["push", "select", "review"] == [one.stage for one in stages]
    assert ["2.000% of the decisions were", "review: p99 is 2,000 ms, 500"] == [
        one[:28] for one in missed
    ]
    assert () == missed_bounds(stages, drop_rate=0.02, bounds=Bounds(p99_ms=None, drop_rate=0.02))


def test_the_same_seed_pushes_the_same_rows_and_another_seed_others() -> None:
    def rows(seed: int) -> Any:
        client: Any = SimpleNamespace()
        return Producer(client, "t", ["hate"], rows=3, patience=1.0, seed=seed).batch(7)

    assert rows(1) == rows(1)
    assert not {one["item_id"] for one in rows(1)} & {one["item_id"] for one in rows(2)}


@pytest.fixture
def server(postgres_url: str) -> Settings:
    return Settings(database_url=SecretStr(postgres_url))


def databases(url: str) -> list[str]:
    engine = create_engine(connect(url).url)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT datname FROM pg_database WHERE datname LIKE 'hitl_stress%'")
        ).scalars()
        names = list(found)
    engine.dispose()
    return names


@pytest.mark.postgres
@pytest.mark.slow
def test_every_stage_is_played_the_rows_add_up_and_nothing_stays(
    server: Settings, postgres_url: str
) -> None:
    load = Load(
        decisions_per_second=100, reviews_per_second=4, seconds=8, rows=50, select_every=1.0
    )

    # However slow the machine is: how much is dropped is for `hitl stress` to say, not for a test.
    report = stress(server, load, Bounds(p99_ms=None, drop_rate=1.0))

    assert ((), ()) == (report.broken, report.missed)
    assert 800 == report.decisions_offered == report.decisions_taken + report.decisions_dropped
    assert {"push"} <= {one.stage for one in report.stages}
    assert 32 == report.reviews_offered
    assert 32 == report.reviews_done + report.reviews_dropped + report.starved
    assert [] == databases(postgres_url)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_bound_that_does_not_hold_fails_the_build(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITL_DATABASE_URL", postgres_url)
    offered = ["--seconds", "1", "--decisions-per-second", "50", "--rows", "25"]

    found = CliRunner().invoke(app, ["stress", *offered, "--p99-ms", "0.001", "--json"])

    assert 1 == found.exit_code
    said = json.loads(found.stdout[found.stdout.index("{") : found.stdout.rindex("}") + 1])
    assert any(one.startswith("push: p99 is") for one in said["missed"])
    assert [] == said["broken"]
