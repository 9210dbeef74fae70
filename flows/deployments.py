"""Which flow runs when: the deployments, their schedules, and the events that chain them.

Prefect reads its environment when it is imported, and this file imports it: PREFECT_API_URL must
be set before (`hitl deploy` does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from json import JSONDecodeError
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import get_client, serve
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows import deployed, events
from hitl.errors import Refused, Unavailable

TAG = "hitl"
_POLICIES: dict[str, str | list[str]] = {"prefect.resource.id": "hitl.policy.*"}
# A run this late was due while nobody served. Two minutes: the runner's own delays are seconds.
_MISSED_AFTER = timedelta(minutes=2)
_READ_AT_ONCE = 200
_DELETED_AT_ONCE = 50  # the server's own limit

# What nobody asked for by hand is trained only where a decision on record says so.
_ALWAYS: dict[str, dict[str, Any]] = {"freeze-snapshot": {"only_if_decided": True}}

T = TypeVar("T")


class PrefectAway(Unavailable):
    """The Prefect server does not answer."""

    def __init__(self) -> None:
        where = PREFECT_API_URL.value() or "an unknown address"
        super().__init__(
            f"the Prefect server at {where} does not answer; run `hitl status`, then `hitl up`, "
            "and deploy again"
        )


class NotAPrefectServer(Refused):
    """Something answers at the address, but it does not let us in or is no Prefect server."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{PREFECT_API_URL.value()} answers, but not as a Prefect server should ({what}); "
            "check that HITL_PREFECT_API_URL ends in /api, and PREFECT_API_KEY if it asks for one"
        )


def _on(event: str, flow: str, **parameters: str) -> list[DeploymentEventTrigger]:
    return [
        DeploymentEventTrigger(
            name=f"{event} runs {flow}",
            expect={event},
            match=_POLICIES,
            parameters=parameters or None,
        )
    ]


def deployments() -> list[RunnerDeployment]:
    """All of them. A schedule is the truth and an event only makes things quicker.

    Every chained flow also has a schedule: an event that was lost costs hours, not the step.
    `ingest-decisions` has none, because only its user knows the source: give it parameters and a
    schedule in the Prefect page, or run `hitl ingest`.
    """
    frozen = "{{ event.payload.snapshot_id }}"
    plans: list[tuple[Any, str | None, list[DeploymentEventTrigger]]] = [
        (deployed.ingest_decisions, None, []),
        (deployed.select_batch, "0 * * * *", []),
        (deployed.dispatch_batch, "* * * * *", []),
        (deployed.collect_annotations, "* * * * *", []),
        (
            deployed.decide_retrain,
            "5 3 * * *",
            [
                *_on(events.LABELS_READY, "retrain"),
                *_on(events.CERTIFICATE_WITHDRAWN, "retrain"),
                *_on(events.DRIFT_ALARMED, "retrain"),
            ],
        ),
        (
            deployed.freeze_snapshot,
            "15 3 * * *",
            _on(events.RETRAIN_DECIDED, "freeze-snapshot"),
        ),
        (
            deployed.train_challenger,
            "25 3 * * *",
            _on(events.SNAPSHOT_FROZEN, "train-challenger", snapshot_id=frozen),
        ),
        (deployed.shadow, "35 3 * * *", _on(events.CHALLENGER_TRAINED, "shadow")),
        (
            deployed.promote_champion,
            "45 3 * * *",
            _on(events.CHALLENGER_DECIDED, "promote-champion"),
        ),
        (
            deployed.rescore,
            "55 3 * * *",
            [
                *_on(events.CHAMPION_PROMOTED, "rescore"),
                *_on(events.CERTIFICATES_ISSUED, "rescore"),
                *_on(events.CERTIFICATE_WITHDRAWN, "rescore"),
            ],
        ),
        (deployed.measure, "30 4 * * *", []),
        (deployed.monitor, "40 4 * * *", []),
        (deployed.watch_drift, "45 4 * * *", []),
        # Certificates are a model's own: a new champion decides nothing alone before it has some.
        (deployed.certify, "50 4 * * 1", _on(events.CHAMPION_DECIDED, "certify")),
        (deployed.weekly_page, "0 5 * * 1", []),
        # What a new champion decides is there once it has decided, its certificates a little later.
        (
            deployed.model_page,
            "10 5 * * 1",
            [
                *_on(events.CHAMPION_DECIDED, "model-page"),
                *_on(events.CERTIFICATES_ISSUED, "model-page"),
            ],
        ),
        (deployed.certify_backlogs, "5 5 * * *", []),
        (deployed.retain, "20 5 * * *", []),
    ]
    return [
        flow.to_deployment(
            name=TAG,
            tags=[TAG],
            version=version("hitl"),
            cron=cron,
            parameters=_ALWAYS.get(flow.name, {}),
            triggers=triggers,
            # A module, not a file: the runner may be started in any folder.
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow, cron, triggers in plans
    ]


def register() -> list[str]:
    """Create or update the deployments on the Prefect server; returns `flow/deployment` names.

    Safe to repeat: deployments are updated, their automations replaced, and what a person paused
    stays paused.

    Raises:
        PrefectAway: the server does not answer.
        NotAPrefectServer: it answers, but does not know what is asked or does not let us in.
    """
    planned = deployments()  # outside the loop: inside one, Prefect gives coroutines instead

    async def apply() -> None:
        await _leave_paused(planned)
        for deployment in planned:
            await deployment.aapply()

    _ask(apply())
    return [deployment.full_name for deployment in planned]


async def _leave_paused(planned: list[RunnerDeployment]) -> None:
    # Left alone, an update would set going again whatever somebody stopped in the Prefect page.
    async with get_client() as client:
        for deployment in planned:
            try:
                stands = await client.read_deployment_by_name(deployment.full_name)
            except ObjectNotFound:
                continue
            deployment.paused = stands.paused
            if stands.schedules and not any(one.active for one in stands.schedules):
                for schedule in deployment.schedules or []:
                    schedule.active = False


def forget_missed_runs(now: datetime) -> int:
    """Delete scheduled runs that nobody served in time, but for the newest of each deployment.

    Prefect keeps every one of them, and the steps catch up in a single run: after a night without
    a runner, a thousand late runs of an every-minute step would do nothing but fill the machine.

    Raises:
        PrefectAway: the server does not answer.
    """
    missed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate(
            {"before_": now - _MISSED_AFTER}
        ),
    )
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))

    async def forget() -> int:
        newest: set[UUID | None] = set()
        doomed: list[str] = []
        async with get_client() as client:
            offset = 0
            while page := await client.read_flow_runs(
                flow_run_filter=missed,
                deployment_filter=ours,
                sort=FlowRunSort.EXPECTED_START_TIME_DESC,
                limit=_READ_AT_ONCE,
                offset=offset,
            ):
                offset += len(page)
                for run in page:
                    if not run.auto_scheduled:
                        continue  # somebody, or an event, asked for it
                    if run.deployment_id in newest:
                        doomed.append(str(run.id))
                    newest.add(run.deployment_id)
            for start in range(0, len(doomed), _DELETED_AT_ONCE):
                ids = doomed[start : start + _DELETED_AT_ONCE]
                answer = await client._client.post(
                    "/flow_runs/bulk_delete", json={"flow_runs": {"id": {"any_": ids}}}
                )
                answer.raise_for_status()
        return len(doomed)

    return _ask(forget())


def serve_all(*, limit: int = 4) -> None:
    """Register, then run the flows when they are due, `limit` at a time, until interrupted.

    Each run is a process of its own with this one's environment.

    Raises:
        PrefectAway: the server does not answer at the start. Later it may come and go.
    """
    forget_missed_runs(datetime.now(UTC))
    planned = deployments()
    _ask(_leave_paused(planned))
    # Schedules go on when we stop: another machine may be serving the same deployments.
    serve(*planned, limit=limit, pause_on_shutdown=False, print_starting_message=False)


def _ask(question: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(question)
    except httpx.TransportError as cause:
        raise PrefectAway from cause
    except httpx.HTTPStatusError as cause:
        if cause.response.status_code >= 500:
            raise PrefectAway from cause
        raise NotAPrefectServer(f"HTTP {cause.response.status_code}") from cause
    except ObjectNotFound as cause:
        raise NotAPrefectServer("HTTP 404") from cause
    except (JSONDecodeError, ValidationError) as cause:
        raise NotAPrefectServer("an answer of another kind") from cause
