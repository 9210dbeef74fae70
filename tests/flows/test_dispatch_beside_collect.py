"""Dispatch and collect run beside each other and beside reviewers: nothing is lost between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.flows.loops import Loop
from tests.labelstudio.fake import Killed, chose, kill

pytestmark = pytest.mark.postgres


@pytest.fixture
def loop(engine: Engine) -> Loop:
    return Loop(engine)


def after_call(loop: Loop, name: str, number: int, then: Callable[[], object]) -> None:
    """Let something happen when the server has answered this call for the so-manieth time."""
    original = getattr(loop.server, name)
    counted = 0

    def watched(*args: Any, **more: Any) -> Any:
        nonlocal counted
        answer = original(*args, **more)
        counted += 1
        if counted == number:
            then()
        return answer

    setattr(loop.server, name, watched)


def test_a_collection_beside_a_dispatch_removes_none_of_its_fresh_tasks(loop: Loop) -> None:
    loop.wait("a", "b", "c")
    loop.server.after["import_tasks"] = kill
    with pytest.raises(Killed):
        loop.dispatch()
    loop.server.after.clear()
    # The collection has seen tasks that it does not know; before it can say so, they are known.
    after_call(loop, "tasks", 1, loop.dispatch)

    report = loop.collect()

    assert (0, 0) == (report.doubles_removed, report.adopted)
    assert 3 == len(loop.server.held)
    assert {"a": "dispatched", "b": "dispatched", "c": "dispatched"} == loop.states()


@pytest.mark.parametrize("flow", ["collect", "dispatch"])
def test_a_double_that_is_answered_at_the_last_moment_is_kept(loop: Loop, flow: str) -> None:
    loop.wait("a")
    if flow == "dispatch":
        loop.server.after["import_tasks"] = kill
        with pytest.raises(Killed):
            loop.dispatch()
        loop.server.after.clear()
    else:
        loop.dispatch()
    loop.server.import_tasks(1, [loop.server.held[loop.task_of("a")].data])
    listing = "tasks" if flow == "collect" else "tasks_of_push"
    double = loop.task_of("a")
    after_call(loop, listing, 1, lambda: loop.server.answer(double, chose("hate")))

    report = getattr(loop, flow)()
    loop.collect()

    assert 0 == report.doubles_removed
    assert 2 == len(loop.server.held)
    assert {"a": "done"} == loop.states()


def test_of_two_tasks_the_recovery_keeps_the_one_that_a_collection_made_known(
    loop: Loop,
) -> None:
    loop.wait("a")
    loop.server.after["import_tasks"] = kill
    with pytest.raises(Killed):
        loop.dispatch()
    loop.server.after.clear()
    loop.collect()
    first = loop.task_of("a")
    loop.server.import_tasks(1, [loop.server.held[first].data])
    loop.server.answer(loop.task_of("a"), chose("spam"))

    loop.dispatch()

    assert [(first,)] == loop.rows("SELECT task_id FROM tasks")
    assert 2 == len(loop.server.held)


@pytest.mark.parametrize("forged", [{"entry_id": 999}, {"entry_id": 2}, {"entry_id": "x"}])
def test_a_copied_claim_is_foreign_and_stops_nothing(loop: Loop, forged: dict[str, Any]) -> None:
    loop.wait("a")
    loop.dispatch()
    loop.wait("b")  # entry 2 exists, and was not asked by that push
    loop.server.import_tasks(1, [loop.server.held[loop.task_of("a")].data | forged])
    loop.server.answer(max(loop.server.held), chose("hate"))
    loop.server.answer(min(loop.server.held), chose("spam"))

    report = loop.collect(sweep=True)

    # The sweep meets it a second time.
    assert (2, 1) == (report.foreign_tasks, report.votes)
    assert {"a": "done", "b": "waiting"} == loop.states()
    assert [({"hate": False, "spam": True},)] == loop.rows("SELECT answers FROM current_votes")


def test_a_copied_claim_does_not_stop_the_recovery(loop: Loop) -> None:
    loop.wait("a")
    loop.server.after["import_tasks"] = kill
    with pytest.raises(Killed):
        loop.dispatch()
    loop.server.after.clear()
    mine = loop.server.held[loop.task_of("a")].data
    for forged in ({"entry_id": "x"}, {"entry_id": 999}, {"entry_id": 999}):
        loop.server.import_tasks(1, [mine | forged])

    report = loop.dispatch()

    assert (1, 0) == (report.recovered, report.doubles_removed)
    assert 4 == len(loop.server.held)
    assert {"a": "dispatched"} == loop.states()


def test_an_answer_that_came_while_its_entry_waited_resolves_it_when_it_is_resumed(
    loop: Loop,
) -> None:
    loop.wait("a")
    loop.dispatch()
    loop.move("a", "dead", "waiting")
    loop.server.answer(loop.task_of("a"), chose("hate"))
    loop.collect()

    loop.dispatch()

    assert {"a": "done"} == loop.states()
    assert "reopen" not in loop.server.calls


def test_the_sweep_resolves_an_open_entry_that_has_its_answers(loop: Loop) -> None:
    loop.wait("a", "b")
    loop.dispatch()
    loop.move("a", "dead", "waiting")
    loop.server.answer(loop.task_of("a"), chose("hate"))
    loop.collect()
    loop.move("a", "dispatched")

    loop.collect(sweep=True)

    assert {"a": "done", "b": "dispatched"} == loop.states()
    assert "reopen" not in loop.server.calls
