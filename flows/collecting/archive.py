"""Finished tasks leave Label Studio once all of them is stored: the next one stays quick."""

from __future__ import annotations

from datetime import timedelta

from flows.collecting.keep import Keeper
from hitl import logs
from hitl.db import begin
from hitl.labelstudio import SeenTask, answers, archive, differs, store
from hitl.recipe import Recipe

log = logs.get(__name__)

_TASKS_PER_LOOK = 100
# At most so many in one collection, which is to be done within a minute.
_TASKS_PER_RUN = 1000
# Label Studio sets `updated_at` some hundred milliseconds before it can be seen. What lies so far
# behind its newest moment can be seen for sure.
_SETTLED = timedelta(minutes=1)


def archive_finished(keeper: Keeper, recipe: Recipe) -> None:
    """Take the oldest finished tasks out of a project that holds too many. Safe to kill and repeat.

    A task goes only if its entry has been closed for `archive_after_hours`, if every version of
    its annotations is in our tables, and if nobody has touched it since we looked: Label Studio
    compares `updated_at` in the request that deletes. Whatever it still holds afterwards stays,
    and is looked at again another time.
    """
    most = recipe.dispatch.tasks_per_project
    if not most:
        return
    before = keeper.report.archived
    last = 0
    for _ in range(0, _TASKS_PER_RUN, _TASKS_PER_LOOK):
        with begin(keeper.engine) as tx:
            finished = archive.finished(
                tx,
                keeper.project_id,
                beyond=most,
                closed_for=timedelta(hours=recipe.collect.archive_after_hours),
                limit=_TASKS_PER_LOOK,
                after=last,
            )
        wanted = [one.task_id for one in finished]
        if not wanted:
            break
        left = _take_out(keeper, wanted)
        with begin(keeper.engine) as tx:
            gone = sorted(set(wanted) - left)
            keeper.report.archived += archive.mark_archived(tx, keeper.project_id, gone)
        last = wanted[-1]
    if archived := keeper.report.archived - before:
        log.info("tasks_archived", project_id=keeper.project_id, tasks=archived)


def _take_out(keeper: Keeper, task_ids: list[int]) -> set[int]:
    """Delete those of these finished tasks that may go. Which are there still."""
    newest = keeper.label_studio.newest_update(keeper.project_id)
    there = keeper.label_studio.tasks(keeper.project_id, task_ids)
    if newest is None or not there:
        return set()
    keeper.keep(there)
    may_go = [one for one in _stored_whole(keeper, there) if one.updated_at <= newest - _SETTLED]
    if may_go:
        keeper.label_studio.delete_tasks(
            keeper.project_id,
            [task.task_id for task in may_go],
            not_updated_after=max(task.updated_at for task in may_go),
        )
        there = keeper.label_studio.tasks(keeper.project_id, task_ids)
    return {task.task_id for task in there}


def _stored_whole(keeper: Keeper, seen: list[SeenTask]) -> list[SeenTask]:
    """Those whose entries are closed still and whose annotations are ours, version by version."""
    ids = [task.task_id for task in seen]
    with begin(keeper.engine) as tx:
        known = {one.task_id: one for one in store.tasks_of(tx, keeper.project_id, task_ids=ids)}
        states = store.states(tx, [one.entry_id for one in known.values()])
        kept = answers.kept_versions(tx, project_id=keeper.project_id, task_ids=ids)
    return [
        task
        for task in seen
        if (ours := known.get(task.task_id)) is not None
        and states[ours.entry_id] not in store.UNRESOLVED
        and not differs(task, ours, kept.get(task.task_id, {}))
    ]
