"""Ctrl-C that nothing swallows, and steps that another run is at."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from flows import deployed
from flows.demo.steps_on_prefect import PATIENCE_SECONDS, CtrlC, StepBusy, StepsOnPrefect


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def swallow() -> str:
    """What Prefect does at the end of a run: a cancellation is taken for nothing."""
    asyncio.get_running_loop().call_later(0.05, press)
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return "all is well"
    return "nothing came"


async def deny() -> None:
    asyncio.get_running_loop().call_later(0.05, press)
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        raise RuntimeError("the run crashed") from None


@pytest.mark.parametrize("work", [swallow, deny])
def test_ctrl_c_is_raised_when_the_run_is_over_whatever_the_run_made_of_it(
    work: Callable[[], Any],
) -> None:
    with CtrlC() as ctrl_c, pytest.raises(KeyboardInterrupt):
        ctrl_c.run(work())


def test_ctrl_c_between_runs_is_raised_at_once() -> None:
    with CtrlC(), pytest.raises(KeyboardInterrupt):
        press()


def test_while_the_servers_are_stopped_a_second_ctrl_c_does_nothing() -> None:
    with CtrlC() as ctrl_c:
        ctrl_c.deafen()
        press()


def test_afterwards_ctrl_c_is_what_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)

    with CtrlC() as ctrl_c:
        assert 7 == ctrl_c.run(asyncio.sleep(0, 7))

    assert before == signal.getsignal(signal.SIGINT)


def answering(monkeypatch: pytest.MonkeyPatch, *results: dict[str, Any]) -> None:
    """Make a step give these results, the last one for good."""
    left = list(results)

    async def step(**_: Any) -> dict[str, Any]:
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(deployed, "rescore", step)


BUSY = {"skipped": "rescore is already running", "is_busy": True}


def test_a_step_that_somebody_else_is_at_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    answering(monkeypatch, BUSY, BUSY, {"report": {"items": 3}})

    with CtrlC() as ctrl_c:
        report = StepsOnPrefect(ctrl_c, sleep=pauses.append)("rescore")

    assert {"items": 3} == report
    assert 2 == len(pauses)


def test_it_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    answering(monkeypatch, BUSY)

    with CtrlC() as ctrl_c, pytest.raises(StepBusy, match="rescore"):
        StepsOnPrefect(ctrl_c, sleep=pauses.append)("rescore")

    assert sum(pauses) == PATIENCE_SECONDS


def test_a_step_without_anything_to_do_gives_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"skipped": "no champion yet", "is_busy": False})

    with CtrlC() as ctrl_c:
        assert StepsOnPrefect(ctrl_c)("rescore") is None
