"""Out to Label Studio, and back as labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.steps import clock
from flows.steps.progress import Progress, silent
from flows.wiring import World
from hitl.db import begin
from hitl.errors import Refused
from hitl.records import EntryId, Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flows.collecting.keep import CollectReport
    from flows.dispatch_batch import DispatchReport
    from hitl.policy import Policy


def dispatch_batch(
    world: World,
    *,
    limit: int | None = None,
    replace_lost_project: bool = False,
    progress: Progress = silent,
) -> dict[str, DispatchReport]:
    """Step 3, for first reviews and then for adjudications.

    What was begun under older versions of the policy is finished first. What concerns one project
    alone is told at the end and stops no other.
    """
    from flows import dispatch_batch as step
    from flows.sweep_queue import sweep_queue
    from hitl.labelstudio import ImportRefused, ProjectGone, RequestRefused, store

    sweep_queue(world.engine, world.recipe)
    with begin(world.engine) as tx:
        asked = store.asked_policies(tx, world.policy.name)
    older = [one for one in asked if one.policy_id != world.policy.policy_id]
    reports = {stage: step.DispatchReport(stage) for stage in (Stage.REVIEW, Stage.ADJUDICATION)}
    refusal: Refused | None = None
    for policy in [*older, world.policy]:
        for stage, so_far in reports.items():
            try:
                report = step.dispatch_batch(
                    world.engine,
                    world.label_studio,
                    policy,
                    world.recipe,
                    stage=stage,
                    is_current=policy is world.policy,
                    limit=None if limit is None else limit - so_far.pushed,
                    progress=progress,
                    replace_lost_project=replace_lost_project,
                    webhook=world.webhook,
                )
            except (ImportRefused, ProjectGone, RequestRefused) as reason:
                refusal = refusal or reason
                continue
            reports[stage] = report.with_older(so_far)
    if refusal:
        raise refusal
    return {stage.value: report for stage, report in reports.items()}


def collect_annotations(
    world: World, *, sweep: bool | None = None, progress: Progress = silent
) -> CollectReport:
    """Step 4, with the labels room resolving what came in, in the same transaction.

    Older versions of the policy are collected too: their open tasks are still being answered, by
    the rules that they were asked under. A lost project is told at the end and stops no other.
    """
    from flows import collect_annotations as step
    from flows.collecting.keep import CollectReport
    from hitl import labels, labelstudio

    with begin(world.engine) as tx:
        asked = labelstudio.store.asked_policies(tx, world.policy.name)
    total = CollectReport()
    lost: labelstudio.ProjectGone | None = None
    for policy in asked:

        def resolve(tx: Connection, entry_ids: Sequence[EntryId], policy: Policy = policy) -> None:
            labels.resolve_entries(tx, entry_ids, policy)

        try:
            found = step.collect_annotations(
                world.engine,
                world.label_studio,
                policy,
                world.recipe,
                now=clock.now(),
                sweep=sweep,
                resolve=resolve,
                progress=progress,
            )
        except labelstudio.ProjectGone as gone:
            lost = lost or gone
            continue
        total.add(found)
    if lost:
        raise lost
    return total


def collect_tasks(world: World, *, task_ids: Sequence[int]) -> CollectReport:
    """Step 4 for these tasks alone, of whatever version of the policy: a wake-up, not the truth.

    Safe to repeat and to be told nonsense: ids that are not of ours are passed over.
    """
    from flows import collect_tasks as step
    from flows.collecting.keep import CollectReport
    from hitl import labels, labelstudio

    with begin(world.engine) as tx:
        asked = labelstudio.store.asked_policies(tx, world.policy.name)
    total = CollectReport()
    for policy in asked:

        def resolve(tx: Connection, entry_ids: Sequence[EntryId], policy: Policy = policy) -> None:
            labels.resolve_entries(tx, entry_ids, policy)

        total.add(
            step.collect_tasks(
                world.engine,
                world.label_studio,
                policy,
                task_ids=task_ids,
                now=clock.now(),
                resolve=resolve,
            )
        )
    return total


def labels_since_snapshot(world: World) -> int:
    """Entries whose labels are newer than the newest snapshot of this policy."""
    from hitl import labels

    with begin(world.engine) as tx:
        return labels.count_since_snapshot(tx, world.policy.policy_id)


def labels_since_decision(world: World) -> int:
    """Entries whose labels are newer than the last decision whether to train."""
    from hitl import labels, registry

    with begin(world.engine) as tx:
        newest = registry.newest_retrain_decision(tx, world.policy)
        upto = newest.last_label_id if newest else 0
        return labels.count_since(tx, world.policy.policy_id, upto)
