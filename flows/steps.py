"""The steps over a world: what the command line and Prefect both call, by the same names.

Each step imports what it needs when it runs: torch and Label Studio's SDK take seconds, and a
dispatch every minute should not pay for what only training uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flows.wiring import World
from hitl.db import begin
from hitl.errors import NotYet, Refused
from hitl.records import BatchId, EntryId, ModelVersion, SnapshotId, Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flows.backlog_status import BacklogStatus
    from flows.certify import CertifyReport
    from flows.certify_backlog import BacklogsReport, CertifiedLook
    from flows.decide_retrain import RetrainReport
    from flows.dispatch_batch import DispatchReport
    from flows.fairness_report import FairnessReport
    from flows.forecast import ForecastReport
    from flows.freeze_snapshot import SnapshotReport
    from flows.ingest_decisions import IngestReport
    from flows.keep_annotations import CollectReport
    from flows.link_twins import LinkReport
    from flows.look_at_backlog import LookReport
    from flows.measure import MeasureReport
    from flows.model_report import ModelReport
    from flows.monitor import MonitorReport
    from flows.offer_labels import OfferReport
    from flows.open_backlog import OpenReport
    from flows.pages import PageWritten
    from flows.promote_champion import PromoteReport
    from flows.rescore import RescoreReport
    from flows.retain import RetainReport
    from flows.select_batch import BatchReport
    from flows.shadow import ShadowReport
    from flows.train_challenger import TrainReport
    from flows.watch_drift import DriftReport
    from flows.weekly_report import WeeklyReport
    from hitl.evaluation.backlogs import Backlog, Look, Rule
    from hitl.policy import Policy

Progress = Callable[[int, int | None], None]


class NoSnapshot(NotYet):
    """Nothing was frozen yet that could be trained on."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(f"no snapshot for policy {policy_name}; run `hitl freeze` first")
        self.policy_name = policy_name


def _silent(done: int, total: int | None = None) -> None:
    """Progress that nobody watches."""


def _in_all(progress: Progress) -> Callable[[int], None]:
    """Tell how many there were in all, where a step tells how many more."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        progress(done, None)

    return told


def ingest_decisions(
    world: World,
    *,
    source: str,
    kind: Literal["decisions", "content", "both"] = "both",
    query: str | None = None,
    progress: Progress = _silent,
) -> IngestReport:
    """Step 1. Safe to repeat: what is known is counted and left alone."""
    from flows import ingest_decisions as step

    return step.ingest_decisions(
        world.engine,
        source=source,
        kind=kind,
        recipe=world.recipe,
        categories=world.policy.category_ids,
        query=query,
        progress=_in_all(progress),
    )


def select_batch(
    world: World,
    *,
    batch_id: str,
    seed: int | None = None,
    limit: int | None = None,
    progress: Progress = _silent,
) -> BatchReport:
    """Step 2. The seed follows from the batch id unless given."""
    from flows import select_batch as step
    from flows.bundles import load_registered
    from hitl import registry

    with begin(world.engine) as tx:
        champion = registry.champion(tx, world.policy.name)
    model = (champion.model_version, load_registered(champion)) if champion else None
    return step.select_batch(
        world.engine,
        batch_id=BatchId(batch_id),
        policy=world.policy,
        recipe=world.recipe,
        seed=seed if seed is not None else step.seed_of(batch_id),
        model=model,
        limit=limit,
    )


def link_twins(world: World, *, progress: Progress = _silent) -> LinkReport:
    """Near copies among what came in since. `select_batch` does so by itself where it needs it."""
    from flows import link_twins as step

    return step.link_twins(world.engine, recipe=world.recipe, progress=_in_all(progress))


def offer_labels(world: World, *, progress: Progress = _silent) -> OfferReport:
    """Propose what was said of one near copy for the others. `select_batch` does so by itself."""
    from flows import offer_labels as step

    return step.offer_labels(world.engine, policy=world.policy, recipe=world.recipe)


def dispatch_batch(
    world: World,
    *,
    limit: int | None = None,
    replace_lost_project: bool = False,
    progress: Progress = _silent,
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
    world: World, *, sweep: bool | None = None, progress: Progress = _silent
) -> CollectReport:
    """Step 4, with the labels room resolving what came in, in the same transaction.

    Older versions of the policy are collected too: their open tasks are still being answered, by
    the rules that they were asked under. A lost project is told at the end and stops no other.
    """
    from flows import collect_annotations as step
    from flows.keep_annotations import CollectReport
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
                now=datetime.now(UTC),
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
    from flows.keep_annotations import CollectReport
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
                now=datetime.now(UTC),
                resolve=resolve,
            )
        )
    return total


def freeze_snapshot(
    world: World, *, only_if_decided: bool = False, progress: Progress = _silent
) -> SnapshotReport:
    """Step 5; `only_if_decided`: for a decision to train that waits to be carried out."""
    from flows import freeze_snapshot as step
    from flows.decide_retrain import NotDecided
    from hitl import registry

    if only_if_decided:
        with begin(world.engine) as tx:
            if registry.pending_retrain(tx, world.policy) is None:
                raise NotDecided(world.policy.name)
    return step.freeze_snapshot(
        world.engine, policy=world.policy, recipe=world.recipe, folder=world.snapshots
    )


def train_challenger(
    world: World,
    *,
    snapshot_id: str | None = None,
    seed: int | None = None,
    data_note: str = "",
    progress: Progress = _silent,
) -> TrainReport:
    """Step 6, on the newest snapshot unless one is named."""
    from flows import train_challenger as step
    from hitl import registry

    with begin(world.engine) as tx:
        path = (
            registry.snapshot_path(tx, SnapshotId(snapshot_id))
            if snapshot_id
            else registry.newest_snapshot_path(tx, world.policy.policy_id)
        )
    if path is None:
        raise NoSnapshot(world.policy.name)
    return step.train_challenger(
        world.engine,
        policy=world.policy,
        recipe=world.recipe,
        snapshot=Path(path),
        models=world.models,
        seed=seed if seed is not None else world.recipe.training.seed,
        data_note=data_note,
    )


def shadow(world: World, *, progress: Progress = _silent) -> ShadowReport:
    """Between steps 6 and 7: the challenger decides beside the champion, on record only."""
    from flows import shadow as step

    return step.shadow(world.engine, policy=world.policy, progress=progress)


def gate(world: World, *, progress: Progress = _silent) -> PromoteReport:
    """The judgement of step 7 alone."""
    from flows import promote_champion as step

    return step.gate(
        world.engine, policy=world.policy, recipe=world.recipe, seed=world.recipe.training.seed
    )


def promote_champion(
    world: World,
    *,
    approved_by: str,
    force: bool = False,
    note: str = "",
    progress: Progress = _silent,
) -> PromoteReport:
    """Step 7."""
    from flows import promote_champion as step

    return step.promote_champion(
        world.engine,
        policy=world.policy,
        recipe=world.recipe,
        cards=world.settings.state_folder / "cards",
        seed=world.recipe.training.seed,
        approved_by=approved_by,
        force=force,
        note=note,
    )


def rescore(world: World, *, progress: Progress = _silent) -> RescoreReport:
    """Step 8."""
    from flows import rescore as step

    return step.rescore(
        world.engine,
        policy=world.policy,
        within=world.recipe.selection.within,
        by=world.recipe.certify.by,
        progress=progress,
    )


def measure(
    world: World,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = _silent,
) -> MeasureReport:
    """Step 9, over the last 28 full UTC days and today unless a window is given."""
    from flows import measure as step

    start, end = _window(start, end)
    return step.measure(
        world.engine, policy=world.policy, rules=world.recipe.measure, start=start, end=end
    )


def _window(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    end = end or _midnight() + timedelta(days=1)
    return start or end - timedelta(days=29), end


def _midnight() -> datetime:
    """The last one, in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def certify(world: World, *, progress: Progress = _silent) -> CertifyReport:
    """Beside the loop: which thresholds may decide without a person."""
    from flows import certify as step

    return step.certify(world.engine, policy=world.policy, recipe=world.recipe.certify)


def forecast(
    world: World, *, within: float = 0.05, seed: int = 1, progress: Progress = _silent
) -> ForecastReport:
    """Beside the loop: how many more audit labels the promised figures need, and by when."""
    from flows import forecast as step

    return step.forecast(
        world.engine, policy=world.policy, recipe=world.recipe.certify, within=within, seed=seed
    )


def fairness_report(
    world: World,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = _silent,
) -> FairnessReport:
    """A page, over the window of `measure` unless one is given."""
    from flows import fairness_report as step

    start, end = _window(start, end)
    return step.fairness_report(
        world.engine, policy=world.policy, rules=world.recipe.measure, start=start, end=end
    )


def weekly_report(
    world: World, *, end: datetime | None = None, progress: Progress = _silent
) -> WeeklyReport:
    """A page on the seven days before `end`, or before last midnight UTC."""
    from flows import weekly_report as step

    return step.weekly_report(
        world.engine, policy=world.policy, end=end or _midnight(), recipe=world.recipe.certify
    )


def model_report(
    world: World,
    *,
    version: str | None = None,
    end: datetime | None = None,
    progress: Progress = _silent,
) -> ModelReport:
    """A page on one model, the champion by default, as it stands at `end`, or today."""
    from flows import model_report as step

    return step.model_report(
        world.engine,
        policy=world.policy,
        recipe=world.recipe.certify,
        end=_window(None, end)[1],
        version=ModelVersion(version) if version else None,
    )


def model_folder(world: World, version: str | None) -> Path:
    """Where a model's page is kept; None: the page that there is no champion yet."""
    return world.settings.state_folder / "reports" / "model" / (version or "none")


def keep_weekly_page(
    world: World, *, end: datetime | None = None, progress: Progress = _silent
) -> PageWritten:
    """The weekly page in the state folder, a folder a week."""
    from flows.pages import keep

    end = end or _midnight()
    report = weekly_report(world, end=end, progress=progress)
    folder = world.settings.state_folder / "reports" / "weekly" / f"{end:%Y-%m-%d}"
    return keep(report.page, folder, name="weekly", subject=f"{end:%Y-%m-%d}")


def keep_model_page(world: World, *, progress: Progress = _silent) -> PageWritten:
    """The champion's page in the state folder, a folder a model; written anew each time.

    Raises:
        NoChampion: there is none to tell of.
    """
    from flows.pages import keep
    from flows.rescore import NoChampion

    report = model_report(world, progress=progress)
    if report.model_version is None:
        raise NoChampion(world.policy.name)
    folder = model_folder(world, report.model_version)
    return keep(report.page, folder, name="model", subject=report.model_version)


def monitor(world: World, *, progress: Progress = _silent) -> MonitorReport:
    """Beside the loop: whether what was certified still holds."""
    from flows import monitor as step

    return step.monitor(world.engine, policy=world.policy)


def open_backlog(
    world: World,
    *,
    backlog: str,
    category: str,
    at_least: float,
    confidence: float,
    rule: Rule,
    progress: Progress = _silent,
) -> OpenReport:
    """Beside the loop: a fixed population of which enough shall be found."""
    from flows import open_backlog as step

    return step.open_backlog(
        world.engine,
        name=backlog,
        policy=world.policy,
        recipe=world.recipe,
        category=category,
        at_least=at_least,
        confidence=confidence,
        rule=rule,
    )


def backlog_status(world: World, *, backlog: str, progress: Progress = _silent) -> BacklogStatus:
    """How far it is, and what a look would cost."""
    from flows import backlog_status as step

    return step.backlog_status(world.engine, name=backlog, policy=world.policy)


def list_backlogs(world: World) -> list[tuple[Backlog, tuple[Look, ...]]]:
    """Every backlog with its looks."""
    from flows import backlog_status as step

    return step.list_backlogs(world.engine)


def look_at_backlog(
    world: World,
    *,
    backlog: str,
    draw: int | None = None,
    seed: int | None = None,
    progress: Progress = _silent,
) -> LookReport:
    """Draw from what nobody reviewed, and ask about it. The seed follows from the name."""
    from flows import look_at_backlog as step

    return step.look_at_backlog(
        world.engine,
        name=backlog,
        policy=world.policy,
        recipe=world.recipe,
        draw=draw,
        seed=seed,
    )


def certify_backlog(
    world: World, *, backlog: str, close: bool = False, progress: Progress = _silent
) -> CertifiedLook:
    """What the open look of a backlog shows."""
    from flows import certify_backlog as step

    return step.certify_backlog(world.engine, name=backlog, close=close)


def certify_backlogs(world: World, *, progress: Progress = _silent) -> BacklogsReport:
    """The same for every backlog with an open look."""
    from flows import certify_backlog as step

    return step.certify_backlogs(world.engine)


def watch_drift(
    world: World,
    *,
    end: datetime | None = None,
    embeddings: bool | None = None,
    progress: Progress = _silent,
) -> DriftReport:
    """Beside the loop: whether what comes in has changed, up to last midnight UTC or `end`."""
    from flows import watch_drift as step

    return step.watch_drift(
        world.engine,
        policy=world.policy,
        recipe=world.recipe.drift,
        end=end or datetime.now(UTC),
        embeddings=embeddings,
    )


def decide_retrain(world: World, *, progress: Progress = _silent) -> RetrainReport:
    """Between collecting and freezing: whether it is time to train anew."""
    from flows import decide_retrain as step

    return step.decide_retrain(world.engine, policy=world.policy, recipe=world.recipe)


def retain(world: World, *, dry_run: bool = False, progress: Progress = _silent) -> RetainReport:
    """Beside the loop: what is older than the recipe keeps goes."""
    from flows import retain as step

    return step.retain(
        world.engine,
        recipe=world.recipe,
        now=datetime.now(UTC),
        dry_run=dry_run,
        progress=_in_all(progress),
    )


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
