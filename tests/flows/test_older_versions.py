"""What was begun under an older version of the policy is finished under its own rules."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from hitl.labelstudio import ImportRefused, ProjectGone
from tests.builders import make_policy
from tests.flows.loops import Loop
from tests.labelstudio.fake import chose

pytestmark = pytest.mark.postgres


class Killed(BaseException):
    """The process dies here."""


def kill() -> None:
    raise Killed


@pytest.fixture
def loop(engine: Engine) -> Loop:
    return Loop(engine)


def test_a_dispute_under_an_older_version_reaches_a_lead(loop: Loop) -> None:
    loop.wait("a")
    loop.step("dispatch_batch")
    loop.policy = make_policy(version="2")
    loop.server.answer(loop.task_of("a"), chose("none", unsure=["hate", "spam"]))
    loop.step("collect_annotations")

    report = loop.step("dispatch_batch")["adjudication"]
    loop.server.answer(loop.task_of("a", stage="adjudication"), chose("hate"), reviewer=7)
    loop.step("collect_annotations")

    assert (1, 1) == (report.pushed, report.open_tasks)
    assert {"a": "done"} == loop.states()


def test_nobody_is_asked_a_first_review_by_an_older_version(loop: Loop) -> None:
    loop.wait("a")
    loop.step("dispatch_batch", limit=0)
    loop.policy = make_policy(version="2")
    loop.wait("b")

    report = loop.step("dispatch_batch")["review"]

    assert (1, 0, 1) == (report.pushed, report.waiting, report.waiting_elsewhere)
    assert {"a": "waiting", "b": "dispatched"} == loop.states()


def test_what_waits_elsewhere_is_told_before_anything_waits_here(loop: Loop) -> None:
    loop.wait("a")
    loop.policy = make_policy(version="2")

    assert 1 == loop.step("dispatch_batch")["review"].waiting_elsewhere
    assert [] == loop.server.calls


def test_a_push_that_died_before_the_policy_changed_is_settled(loop: Loop) -> None:
    loop.wait("a")
    loop.server.after["import_tasks"] = kill
    with pytest.raises(Killed):
        loop.dispatch()
    loop.server.after.clear()
    loop.policy = make_policy(version="2")

    report = loop.step("dispatch_batch")["review"]

    assert (1, 0) == (report.recovered, report.waiting_elsewhere)
    assert {"a": "dispatched"} == loop.states()


def test_a_finished_older_version_costs_no_call(loop: Loop) -> None:
    loop.wait("a")
    loop.step("dispatch_batch")
    loop.policy = make_policy(version="2")
    loop.server.calls.clear()

    loop.step("dispatch_batch")

    assert [] == loop.server.calls


def test_what_concerns_one_project_stops_no_other(loop: Loop) -> None:
    loop.wait("a")
    loop.dispatch()
    loop.move("a", "adjudicating")
    loop.policy = make_policy(version="2")
    loop.wait("b")
    loop.server.refuse_text = "text of b"

    with pytest.raises(ImportRefused, match="entries 2"):
        loop.step("dispatch_batch")

    assert "a" == loop.server.held[loop.task_of("a", stage="adjudication")].data["item_id"]


def test_a_lost_project_of_an_older_version_stops_no_collection(loop: Loop) -> None:
    loop.wait("a")
    loop.dispatch()
    loop.server.projects.clear()
    loop.policy = make_policy(version="2")
    loop.wait("b")
    loop.dispatch()
    loop.server.answer(loop.task_of("b"), chose("hate"))

    with pytest.raises(ProjectGone, match="--replace-lost-project"):
        loop.step("collect_annotations")

    assert {"a": "dispatched", "b": "done"} == loop.states()
