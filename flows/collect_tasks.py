"""A light look at a few tasks that something was heard of; the poll stays the truth."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from flows.collect_annotations import collecting
from flows.collecting.keep import CollectReport, Keeper, Resolve
from hitl import logs
from hitl.db import begin
from hitl.labelstudio import LabelStudio, claim_of, store
from hitl.policy import Policy

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logs.get(__name__)

# More than this in one look is no light look: the rest is the poll's.
_MOST = 1000
_HIGHEST = 2**63 - 1  # what the column can hold


def collect_tasks(
    engine: Engine,
    label_studio: LabelStudio,
    policy: Policy,
    *,
    task_ids: Iterable[int],
    now: datetime,
    resolve: Resolve,
) -> CollectReport:
    """Store what these tasks of a policy show now, as a collection would. Safe to repeat.

    Whoever wakes us need not be believed: only tasks of ours are looked at, and what they show is
    what Label Studio says. Ids that are not known are left to the next collection, as is all that
    a look cannot tell: no cursor moves, and a task that is absent is not taken for gone.

    Raises:
        LabelStudioUnavailable: it was away; the next collection sweeps.
        AlreadyRunning: a collection of this policy runs; try again when it is done.
    """
    wanted = sorted({one for one in task_ids if 0 < one <= _HIGHEST})[:_MOST]
    report = CollectReport()
    with begin(engine) as tx:
        known = {
            project: store.tasks_of(tx, project.project_id, task_ids=wanted)
            for project in store.projects(tx, policy)
        }
    if not any(known.values()):
        return report
    with collecting(engine, policy):
        for project, ours in known.items():
            if not ours:
                continue
            claims = {one.task_id: (one.entry_id, one.push_id) for one in ours}
            seen = label_studio.tasks(project.project_id, list(claims))
            # A server that was set up anew gives the same numbers to others' tasks.
            mine = [task for task in seen if claim_of(task) == claims[task.task_id]]
            Keeper(engine, label_studio, policy, project, now, resolve, report, None).keep(mine)
            report.projects += 1
    log.info(
        "tasks_collected", policy_id=policy.policy_id, tasks=report.tasks_seen, votes=report.votes
    )
    return report
