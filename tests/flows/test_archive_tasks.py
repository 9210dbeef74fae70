"""Finished tasks leave Label Studio; no answer leaves with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from flows.collect_annotations import collect_annotations
from flows.collecting.keep import CollectReport
from hitl import labels
from hitl.recipe import CollectRecipe, DispatchRecipe, Recipe
from tests.flows.loops import Loop
from tests.labelstudio.fake import away, chose, kill

pytestmark = pytest.mark.postgres

ITEMS = ("a", "b", "c", "d", "e")


class Archive(Loop):
    """Five finished tasks, of which two may stay."""

    def __init__(self, engine: Engine, *, hours: float = 24.0) -> None:
        super().__init__(engine)
        self.recipe = Recipe(
            dispatch=DispatchRecipe(tasks_per_project=2),
            collect=CollectRecipe(archive_after_hours=hours),
        )
        self.wait(*ITEMS)
        self.dispatch()
        self.given = {one: self.server.answer(self.task_of(one), chose("hate")) for one in ITEMS}
        self.tasks = {one: self.task_of(one) for one in ITEMS}
        self.collect()

    def age(self, hours: float = 25.0) -> None:
        """So much time passes, here and there."""
        self.server.clock += timedelta(hours=hours)
        with self.engine.begin() as tx:
            tx.execute(
                text("UPDATE entries SET closed_at = closed_at - make_interval(hours => :hours)"),
                {"hours": int(hours)},
            )
        # Somebody is at work elsewhere in the project: its newest moment is of now.
        self.wait(f"new at {self.server.clock:%d %H:%M}")
        self.dispatch()

    def tidy(self, **more: Any) -> CollectReport:
        more.setdefault("sweep", True)
        return collect_annotations(
            self.engine,
            self.server,
            self.policy,
            self.recipe,
            now=self.server.clock,
            resolve=lambda tx, entry_ids: labels.resolve_entries(tx, entry_ids, self.policy),
            **more,
        )

    def there(self) -> list[str]:
        return sorted(one for one, task_id in self.tasks.items() if task_id in self.server.held)

    def archived(self) -> list[str]:
        return [
            row[0]
            for row in self.rows(
                "SELECT item_id FROM tasks JOIN entries USING (entry_id)"
                " WHERE archived_at IS NOT NULL ORDER BY 1"
            )
        ]

    def kept(self) -> list[Any]:
        """All that answers came to."""
        return [
            self.rows(
                "SELECT unique_id, updated_at, kind, result::text FROM annotations ORDER BY 1, 2"
            ),
            self.rows("SELECT item_id, category, value FROM current_labels ORDER BY 1, 2"),
            self.rows("SELECT entry_id, answers::text FROM current_votes ORDER BY 1"),
        ]


@pytest.fixture
def loop(engine: Engine) -> Archive:
    return Archive(engine)


def test_the_oldest_finished_tasks_leave_and_all_of_them_stays_here(loop: Archive) -> None:
    before = loop.kept()
    loop.age()

    report = loop.tidy()

    assert 3 == report.archived
    assert ["d", "e"] == loop.there()
    assert ["a", "b", "c"] == loop.archived()
    assert before == loop.kept()


def test_what_was_archived_is_never_taken_for_deleted_or_looked_for_again(loop: Archive) -> None:
    loop.age()
    loop.tidy()
    before = loop.kept()
    loop.server.calls.clear()

    again = loop.tidy()

    assert (0, 0, 0) == (again.archived, again.vanished, again.deleted)
    assert before == loop.kept()
    assert "tasks" not in loop.server.calls


def test_what_was_finished_a_moment_ago_stays_for_its_reviewer_to_mend(loop: Archive) -> None:
    loop.age(hours=23)

    assert 0 == loop.tidy().archived
    assert list(ITEMS) == loop.there()


def test_open_tasks_stay_however_old(loop: Archive) -> None:
    loop.server.take_back(loop.given["a"])
    loop.collect()
    loop.age(hours=100)

    loop.tidy()

    assert ["a", "d", "e"] == loop.there()


def test_without_a_bound_everything_stays(loop: Archive) -> None:
    loop.recipe = Recipe(dispatch=DispatchRecipe(tasks_per_project=0))
    loop.age()

    assert 0 == loop.tidy().archived
    assert list(ITEMS) == loop.there()


def test_a_collection_that_does_not_sweep_does_not_archive(loop: Archive) -> None:
    loop.age()

    assert 0 == loop.tidy(sweep=False).archived


def test_an_answer_that_is_mended_while_we_look_stays_and_comes_in(loop: Archive) -> None:
    loop.age()
    # Between our look at the task and its deletion.
    loop.server.before["delete_tasks"] = lambda: loop.server.edit(loop.given["b"], chose("spam"))

    report = loop.tidy()
    loop.server.before.clear()
    loop.tidy()

    # The next oldest goes in its place.
    assert 3 == report.archived
    assert ["b", "e"] == loop.there()
    assert [("b", "spam")] == loop.rows(
        "SELECT item_id, category FROM current_labels WHERE value AND item_id = 'b'"
    )


def test_an_answer_that_a_crash_had_hidden_from_the_poll_comes_in_before_its_task_goes(
    loop: Archive,
) -> None:
    seen = loop.server.held[loop.tasks["a"]].updated_at
    loop.server.edit(loop.given["a"], chose("spam"))
    loop.server.held[loop.tasks["a"]].updated_at = seen
    loop.age()

    loop.tidy()

    assert "a" not in loop.there()
    assert [("a", "spam")] == loop.rows(
        "SELECT item_id, category FROM current_labels WHERE value AND item_id = 'a'"
    )


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("how", [kill, away()])
def test_cut_off_at_the_deletion_and_run_again_it_ends_the_same(
    loop: Archive, moment: str, how: Any
) -> None:
    before = loop.kept()
    loop.age()
    getattr(loop.server, moment)["delete_tasks"] = how
    with pytest.raises(BaseException):  # noqa: B017
        loop.tidy()
    getattr(loop.server, moment).clear()

    report = loop.tidy()

    assert (3, 0) == (report.archived, report.deleted)
    assert ["a", "b", "c"] == loop.archived()
    assert ["d", "e"] == loop.there()
    assert before == loop.kept()


def test_a_task_that_is_there_after_all_is_collected_and_archived_anew(loop: Archive) -> None:
    loop.age()
    backup = dict(loop.server.held)
    loop.tidy()
    loop.server.held.update(backup)
    loop.server.edit(loop.given["c"], chose("spam"))

    first = loop.tidy()

    assert 1 == first.versions
    assert [("c", "spam")] == loop.rows(
        "SELECT item_id, category FROM current_labels WHERE value AND item_id = 'c'"
    )
    # The one that was touched just now stays for its day.
    assert ["c", "e"] == loop.there()
    assert ["a", "b", "d"] == loop.archived()


def test_a_question_that_is_open_again_although_its_task_was_archived_is_asked_anew(
    loop: Archive,
) -> None:
    loop.age()
    loop.tidy()
    loop.move("a", "dispatched")

    report = loop.tidy()
    loop.dispatch()

    assert 1 == report.vanished
    assert "dispatched" == loop.states()["a"]
    assert loop.task_of("a") != loop.tasks["a"]


def test_older_versions_of_the_policy_are_tidied_too(loop: Archive) -> None:
    from tests.builders import make_policy

    loop.age()
    loop.policy, old = make_policy(version="2"), loop.policy
    loop.wait("x")
    loop.dispatch()

    world_collects = loop.step("collect_annotations", sweep=True)

    assert old.policy_id != loop.policy.policy_id
    # By the default recipe 5,000 finished tasks may stay.
    assert 0 == world_collects.archived
    loop.policy = old
    assert 3 == loop.tidy().archived
