"""Projects that are gone, or whose number another server gave away: what is lost, what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from hitl.labelstudio import ProjectGone, ProjectIsAnother
from hitl.records import Stage
from tests.builders import make_policy
from tests.flows.loops import Loop
from tests.labelstudio.fake import FakeLabelStudio, chose

pytestmark = pytest.mark.postgres


@pytest.fixture
def loop(engine: Engine) -> Loop:
    return Loop(engine)


def rebuild(loop: Loop) -> None:
    """A server in place of the old one, empty, counting from 1 again."""
    new = FakeLabelStudio()
    new.clock = loop.server.clock + timedelta(hours=1)
    loop.server = new


def test_a_rebuilt_server_that_gives_the_same_numbers_takes_no_label_back(loop: Loop) -> None:
    loop.wait("a", "b")
    loop.dispatch()
    for item_id in "ab":
        loop.server.answer(loop.task_of(item_id), chose("hate"))
    loop.collect()
    before = loop.rows("SELECT entry_id, category, value FROM current_labels ORDER BY 1, 2")
    rebuild(loop)
    loop.wait("c", "d")
    loop.dispatch(replace_lost_project=True)
    loop.server.answer(loop.task_of("c"), chose("spam"))

    poll, sweep = loop.collect(), loop.collect(sweep=True)

    assert (0, 0, 1) == (poll.deleted, sweep.deleted, poll.versions)
    after = loop.rows("SELECT entry_id, category, value FROM current_labels ORDER BY 1, 2")
    assert before == after[: len(before)]
    assert {"a": "done", "b": "done", "c": "done", "d": "dispatched"} == loop.states()


def test_a_lost_project_without_open_entries_stops_nothing(loop: Loop) -> None:
    loop.wait("a", "b")
    loop.dispatch()
    loop.move("b", "adjudicating")
    loop.dispatch(stage=Stage.ADJUDICATION)
    loop.server.answer(loop.task_of("b", stage="adjudication"), chose("hate"))
    loop.collect()
    loop.server.projects.pop(max(loop.server.projects))
    loop.server.answer(loop.task_of("a"), chose("spam"))

    report = loop.collect()

    assert (1, 1, 1) == (report.projects, report.votes, report.finished_projects_gone)
    assert {"a": "done", "b": "done"} == loop.states()


def test_a_lost_project_with_open_entries_is_told_after_the_others_were_collected(
    loop: Loop,
) -> None:
    loop.wait("a", "b")
    loop.dispatch()
    loop.move("b", "adjudicating")
    loop.dispatch(stage=Stage.ADJUDICATION)
    loop.server.projects.pop(min(loop.server.projects))
    loop.server.answer(loop.task_of("b", stage="adjudication"), chose("hate"))

    with pytest.raises(ProjectGone, match="project 1"):
        loop.collect()

    assert {"a": "dispatched", "b": "done"} == loop.states()


def test_a_number_that_another_server_gave_again_needs_a_persons_word(loop: Loop) -> None:
    old = loop.policy
    loop.wait("a")
    loop.dispatch()
    rebuild(loop)
    new = loop.policy = make_policy(version="2")
    loop.wait("b")

    with pytest.raises(ProjectIsAnother, match=f"hitl {old.policy_id} review"):
        loop.dispatch()
    owners = "SELECT project_id, policy_id FROM labelling_projects"
    assert [(1, old.policy_id)] == loop.rows(owners)

    report = loop.dispatch(replace_lost_project=True)

    assert 1 == report.pushed
    assert [(1, new.policy_id)] == loop.rows(owners)
    assert {"a": "waiting", "b": "dispatched"} == loop.states()


def test_every_version_is_mended_by_one_command(loop: Loop) -> None:
    loop.wait("a")
    loop.dispatch()
    loop.policy = make_policy(version="2")
    loop.wait("b")
    loop.dispatch()
    loop.server.projects.clear()
    loop.server.held.clear()
    with pytest.raises(ProjectGone):
        loop.step("collect_annotations")

    loop.step("dispatch_batch", replace_lost_project=True)

    assert 1 == loop.step("collect_annotations").projects
    assert {"a": "waiting", "b": "dispatched"} == loop.states()
