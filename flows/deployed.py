"""The steps as Prefect flows. Everything Prefect does for a run is in this file.

A flow carries its parameters into one task; the task runs the plain step in a thread and is tried
again only when something we depend on was away. What leaves for the Prefect server — states,
artifacts, events, log lines — holds counts, ids and our own messages, never content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

import httpx
from prefect import flow, task
from prefect.artifacts import (
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from flows.events import events_after
from flows.plain import plain, table_of
from flows.wiring import open_world
from hitl import logs
from hitl.db import AlreadyRunning
from hitl.errors import HitlError, Malformed, NotYet, Refused, Unavailable
from hitl.faults import place_of

SKIPPED = "Skipped"

_PROGRESS_EVERY_SECONDS = 2.0

T = TypeVar("T")
Tick = Callable[[int, int | None], None]

log = logs.get(__name__)


class StepBroke(Refused):
    """A step ended in an error that is not one of ours: a fault in this program, or a new one."""

    def __init__(self, step: str, error: Exception) -> None:
        # Its own words are withheld: a driver's or a parser's message may quote a row.
        super().__init__(
            f"{step} broke: {place_of(error)}. Its message is withheld here, as it may quote "
            "content; run the step from a shell with HITL_DEBUG=1 to read it"
        )
        self.step = step


async def _only_unavailable(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Retry what may pass by itself. A refusal stays a refusal however often it is asked."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, Unavailable)


@task(
    task_run_name="{name}",
    retries=4,
    retry_delay_seconds=exponential_backoff(backoff_factor=5),
    retry_jitter_factor=0.5,
    retry_condition_fn=_only_unavailable,
    # What a step did lies in Postgres. A result kept by Prefect would be a second truth.
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def attempt(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run one step by name; `{"report": …}`, or `{"skipped": why, "is_busy": …}`.

    A step is skipped when there is nothing to do, or when another run is at it: then it is busy.

    Raises:
        Unavailable: tried again, four times with growing pauses.
        Refused, Malformed: as the step raised it.
        StepBroke: the step raised something else.
    """
    done: tuple[int, int | None] = (0, None)

    def tick(so_far: int, total: int | None = None) -> None:
        nonlocal done
        done = (so_far, total)

    work = asyncio.create_task(asyncio.to_thread(_carry_out, name, parameters, tick))
    artifact: UUID | None = None
    while not (await asyncio.wait({work}, timeout=_PROGRESS_EVERY_SECONDS))[0]:
        # Also of a step that does not count: a person sees that it is at work.
        artifact = await _show_progress(artifact, name, *done, is_done=False)
    try:
        result = work.result()
    except HitlError as error:
        # `from None`: Prefect stores tracebacks, and a cause in one may quote what it choked on.
        raise error from None
    except Exception as error:  # noqa: BLE001 - the one place where a stranger's words are withheld
        raise StepBroke(name, error) from None
    if artifact is not None or done[0]:
        await _show_progress(artifact, name, *done, is_done=True)
    return result


def _carry_out(name: str, parameters: dict[str, Any], tick: Tick) -> dict[str, Any]:
    # Not at the top: the steps bring torch, and registering deployments needs none of it.
    from flows import steps

    try:
        with open_world() as world:
            step: Callable[..., Any] = getattr(steps, name)
            result = {
                "report": plain(step(world, progress=tick, **parameters)),
                "policy": world.policy.name,
            }
            if name == "collect_annotations":
                result |= {
                    "new_labels": steps.labels_since_snapshot(world),
                    "undecided": steps.labels_since_decision(world),
                    "retrain_after": world.recipe.training.retrain_after_labels,
                }
            return result
    except NotYet as reason:
        # Another run does this run's work, or a schedule came before there was any: no failure.
        return {"skipped": str(reason), "is_busy": isinstance(reason, AlreadyRunning)}


async def _show_progress(
    artifact: UUID | None, name: str, so_far: int, total: int | None, *, is_done: bool
) -> UUID | None:
    share = 100.0 if is_done else min(99.0, 100.0 * so_far / total) if total else 0.0
    if so_far:
        words = f"{so_far:,} of {total:,}" if total else f"{so_far:,} so far"
    else:
        words = "done" if is_done else "at work"
    if artifact is None:
        key = f"{_dashed(name)}-progress"
        return await _told(acreate_progress_artifact(progress=share, key=key, description=words))
    await _told(aupdate_progress_artifact(artifact, progress=share, description=words))
    return artifact


async def _told(telling: Awaitable[T]) -> T | None:
    """A picture that cannot be shown must not fail a step that goes on in its thread."""
    try:
        return await telling
    except (httpx.HTTPError, PrefectException) as reason:
        log.warning("artifact_not_stored", reason=type(reason).__name__)
        return None


def _dashed(name: str) -> str:
    return name.replace("_", "-")


async def _run(name: str, **parameters: Any) -> dict[str, Any] | State[Any]:
    """A step, its table artifact, and the events that follow from what it left behind."""
    try:
        result = await attempt(name, parameters)
    except (Unavailable, Refused, Malformed) as error:
        # The state a person sees is our message, as it is; a direct caller gets the error itself.
        return Failed(message=str(error), data=error)
    if "skipped" in result:
        return Completed(message=result["skipped"], name=SKIPPED, data=result)
    await _told(
        acreate_table_artifact(
            key=_dashed(name), table=table_of(name, result["report"]), description=name
        )
    )
    for event, payload in events_after(name, result):
        emit_event(
            event,
            resource={"prefect.resource.id": f"hitl.policy.{result['policy']}"},
            payload=payload,
        )
    return result


def _batch_id() -> str:
    """One batch a flow run, however often the run is retried."""
    return f"b-{flow_run.get_id() or 'local'}"


def _in_utc(moment: datetime | None) -> datetime | None:
    """A moment without a zone, as a person types it into a form, is meant in UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


@flow(name="ingest-decisions", persist_result=False)
async def ingest_decisions(
    source: str, kind: Literal["decisions", "content", "both"] = "both", query: str | None = None
) -> Any:
    """Read decisions and content from files, a folder, a glob, a URL, or a SQL query."""
    return await _run("ingest_decisions", source=source, kind=kind, query=query)


@flow(name="select-batch", persist_result=False)
async def select_batch(
    batch_id: str | None = None, seed: int | None = None, limit: int | None = None
) -> Any:
    """Choose a batch and open its entries."""
    return await _run("select_batch", batch_id=batch_id or _batch_id(), seed=seed, limit=limit)


@flow(name="dispatch-batch", persist_result=False)
async def dispatch_batch(limit: int | None = None) -> Any:
    """Fill Label Studio's window with the most urgent entries."""
    return await _run("dispatch_batch", limit=limit)


@flow(name="collect-annotations", persist_result=False)
async def collect_annotations(sweep: bool | None = None) -> Any:
    """Bring answers back, resolve them into labels, and say when there are enough to retrain."""
    return await _run("collect_annotations", sweep=sweep)


@flow(name="freeze-snapshot", persist_result=False)
async def freeze_snapshot(only_if_decided: bool = False) -> Any:
    """Freeze the examples of now into a snapshot, or only where a decision to train waits."""
    return await _run("freeze_snapshot", only_if_decided=only_if_decided)


@flow(name="train-challenger", persist_result=False)
async def train_challenger(
    snapshot_id: str | None = None, seed: int | None = None, data_note: str = ""
) -> Any:
    """Train on the newest snapshot, or on the one named."""
    return await _run("train_challenger", snapshot_id=snapshot_id, seed=seed, data_note=data_note)


@flow(name="shadow", persist_result=False)
async def shadow() -> Any:
    """Let the challenger decide beside the champion, on record only."""
    return await _run("shadow")


@flow(name="promote-champion", persist_result=False)
async def promote_champion(approved_by: str = "gate") -> Any:
    """Judge the challenger against the champion, and promote it if the gate says so."""
    return await _run("promote_champion", approved_by=approved_by)


@flow(name="rescore", persist_result=False)
async def rescore() -> Any:
    """Let the champion decide on what is open and on what is measured."""
    return await _run("rescore")


@flow(name="measure", persist_result=False)
async def measure(start: datetime | None = None, end: datetime | None = None) -> Any:
    """Precision, recall, prevalence and more of what was decided, over a window."""
    return await _run("measure", start=_in_utc(start), end=_in_utc(end))


@flow(name="certify", persist_result=False)
async def certify() -> Any:
    """Try every obligation of the policy on the audit labels of the champion's decisions."""
    return await _run("certify")


@flow(name="monitor", persist_result=False)
async def monitor() -> Any:
    """Withdraw the certificates that labels since their issue speak against."""
    return await _run("monitor")


@flow(name="weekly-page", persist_result=False)
async def weekly_page(end: datetime | None = None) -> Any:
    """Write the page of the last week to the state folder."""
    return await _run("keep_weekly_page", end=_in_utc(end))


@flow(name="model-page", persist_result=False)
async def model_page() -> Any:
    """Write the champion's page to the state folder."""
    return await _run("keep_model_page")


@flow(name="certify-backlogs", persist_result=False)
async def certify_backlogs() -> Any:
    """End every look at a backlog whose drawn items have their answers."""
    return await _run("certify_backlogs")


@flow(name="drift", persist_result=False)
async def watch_drift(end: datetime | None = None, embeddings: bool | None = None) -> Any:
    """Compare what came in lately with what came before, and raise alarms."""
    return await _run("watch_drift", end=_in_utc(end), embeddings=embeddings)


@flow(name="retrain", persist_result=False)
async def decide_retrain() -> Any:
    """Decide whether to train anew, by labels, alarms, the policy and the newest model."""
    return await _run("decide_retrain")


@flow(name="retain", persist_result=False)
async def retain(dry_run: bool = False) -> Any:
    """Drop decisions and unasked content that are older than the recipe keeps."""
    return await _run("retain", dry_run=dry_run)


ALL = (
    ingest_decisions,
    select_batch,
    dispatch_batch,
    collect_annotations,
    freeze_snapshot,
    train_challenger,
    shadow,
    promote_champion,
    rescore,
    measure,
    monitor,
    certify,
    weekly_page,
    model_page,
    certify_backlogs,
    watch_drift,
    decide_retrain,
    retain,
)
