"""Do the books agree? Our own counts, and what Label Studio shows beside them."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from flows.wiring import World
from hitl.db import begin
from hitl.labelstudio import ProjectGone, SeenTask, claim_of, marker_of, store, unique_id_of
from hitl.records import PolicyId
from hitl.reports import (
    Account,
    TaskKey,
    There,
    accounts,
    accounts_with_label_studio,
    count_loop,
    held,
)


def reconcile(world: World, *, label_studio: bool = True) -> list[Account]:
    """Every account of the world's policy, all its versions together.

    Raises:
        LabelStudioUnavailable: it is away; pass `label_studio=False` to leave it out.
    """
    with begin(world.engine) as tx:
        found = accounts(count_loop(tx, world.policy))
        here = held(tx, world.policy)
        versions = store.asked_policies(tx, world.policy.name)
    if not label_studio:
        return found
    annotations: dict[TaskKey, frozenset[str]] = {}
    foreign = 0
    for version in versions:
        with begin(world.engine) as tx:
            projects = store.projects(tx, version)
        for project in projects:
            for task, push_id in _shown(world, version.policy_id, project):
                if push_id is None:
                    foreign += 1
                    continue
                annotations[project.project_id, task.task_id] = frozenset(
                    unique_id_of(int(one["id"]), push_id) for one in task.annotations
                )
    return [*found, *accounts_with_label_studio(here, There(annotations, foreign))]


def _shown(
    world: World, policy_id: PolicyId, project: store.Project
) -> Iterator[tuple[SeenTask, UUID | None]]:
    """Every task that a project shows, with the push of ours that brought it. None: not ours.

    A project that is gone shows none; whether that is a loss, the accounts say.
    """
    project_id = project.project_id
    try:
        world.label_studio.check_project(project_id, marker=marker_of(policy_id, project.stage))
    except ProjectGone:
        return
    for page in world.label_studio.marks(project_id):
        ids = [task.task_id for task in page.tasks]
        with begin(world.engine) as tx:
            known = {one.task_id: one for one in store.tasks_of(tx, project_id, task_ids=ids)}
        strangers = [one for one in ids if one not in known]
        claims = {
            task.task_id: claim
            for task in (world.label_studio.tasks(project_id, strangers) if strangers else [])
            if (claim := claim_of(task))
        }
        with begin(world.engine) as tx:
            asked = store.asked_tasks(tx, project_id, claims.values())
        for task in page.tasks:
            if task.task_id in known:
                yield task, known[task.task_id].push_id
            else:
                claim = claims.get(task.task_id)
                yield task, claim[1] if claim and claim in asked else None
