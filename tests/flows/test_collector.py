"""The collector of `hitl serve`: it looks where it was told, polls in turn, and outlives faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from flows.collecting.collector import Collector, CollectorStopped, Looks
from hitl.db import AlreadyRunning, DatabaseUnavailable
from hitl.errors import Refused
from hitl.web.store import Wakeup

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CANARY = "quokka-canary-7731"


class World:
    """What a collector looks at, and what it did."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[Wakeup] = []
        self.did: list[object] = []
        self.fault: Exception | None = None

    def collector(self, **more: float) -> Collector:
        looks = Looks(some=self._some, all=self._all, pending=self._pending, forget=self._forget)
        return Collector(looks, clock=lambda: self.now, **more)  # type: ignore[arg-type]

    def tell(self, task_id: int) -> None:
        self.told.append(Wakeup(3, task_id, NOW))

    def _some(self, task_ids: Sequence[int]) -> None:
        self.did.append(list(task_ids))
        self._fail()

    def _all(self) -> None:
        self.did.append("all")
        self._fail()

    def _pending(self) -> list[Wakeup]:
        return list(self.told)

    def _forget(self, followed: Sequence[Wakeup]) -> None:
        self.told = [one for one in self.told if one not in followed]

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def world() -> World:
    return World()


def counts(collector: Collector) -> dict[tuple[str, str], float]:
    return {
        (one.labels["what"], one.labels["outcome"]): one.value
        for one in collector.figures()
        if one.name == "hitl_collections"
    }


def test_it_begins_with_a_poll_and_then_looks_only_where_it_was_told(world: World) -> None:
    collector = world.collector(poll_seconds=60)

    collector.turn()
    collector.turn()
    world.tell(7)
    world.tell(8)
    collector.turn()
    collector.turn()

    assert ["all", [7, 8]] == world.did
    assert [] == world.told


def test_the_poll_comes_in_time_however_much_is_told(world: World) -> None:
    collector = world.collector(poll_seconds=60)
    for second in range(130):
        world.now = float(second)
        world.tell(second + 1)
        collector.turn()

    assert [0, 60, 120] == [at for at, what in enumerate(world.did) if what == "all"]


def test_a_hint_without_a_task_of_ours_is_a_poll(world: World) -> None:
    collector = world.collector()
    collector.turn()
    world.tell(0)
    collector.turn()

    assert ["all", "all"] == world.did
    assert [] == world.told


@pytest.mark.parametrize(
    "fault", [DatabaseUnavailable("x:1"), AlreadyRunning("collect"), ValueError(CANARY)]
)
def test_what_could_not_be_followed_is_followed_later(world: World, fault: Exception) -> None:
    collector = world.collector()
    collector.turn()
    world.tell(7)
    world.fault = fault

    failed = collector.turn()
    world.fault = None
    collector.turn()

    assert not failed
    assert ["all", [7], [7]] == world.did
    assert [] == world.told


def test_what_is_refused_is_left_to_the_next_poll(world: World) -> None:
    """One project of several is gone: every poll says so, and the others must not wait for it."""
    collector = world.collector(poll_seconds=60)
    world.fault = Refused("project 3 is gone")

    collector.turn()
    world.tell(0)
    collector.turn()
    collector.turn()

    assert ["all", "all"] == world.did
    assert {("poll", "refused"): 2} == counts(collector)


def test_a_fault_is_logged_by_its_place(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.fault = ValueError(CANARY)

    world.collector().turn()

    said = capfd.readouterr()
    assert "ValueError at" in said.out + said.err
    assert CANARY not in said.out + said.err


def test_it_is_nudged_awake_and_ends_when_it_is_told_to(world: World) -> None:
    collector = world.collector(glance_seconds=3600, pause_seconds=0)
    looked = threading.Event()
    collector.looks.some.__self__._fail = looked.set  # type: ignore[attr-defined]
    collector.start()
    while not world.did:
        time.sleep(0.001)
    looked.clear()
    world.tell(7)

    collector.nudge()

    assert looked.wait(60)
    collector.check()
    collector.stop()
    assert ["all", [7]] == world.did


def test_a_collector_that_ended_by_itself_is_told_of(world: World) -> None:
    collector = world.collector()
    collector.turn = None  # type: ignore[assignment,method-assign] - a fault outside of a turn
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        collector.start()
        assert collector._thread is not None
        collector._thread.join()
    finally:
        threading.excepthook = hook

    with pytest.raises(CollectorStopped, match="start `hitl serve` again"):
        collector.check()
