"""The deployments on a real Prefect server, with a real Postgres behind them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from sqlalchemy import Engine, text

from flows import deployed, deployments, events, steps
from hitl.db import connect, migrate, single_flight
from hitl.errors import Refused, Unavailable
from hitl.policy import load_policy
from hitl.services import Stack
from tests.flows.worlds import fill, label_batch

pytestmark = pytest.mark.e2e

CANARY = "quokka-canary-7731"
POLICY = """
name = "elsewhere"
version = "1"
title = "Rules"
[[category]]
id = "hate"
title = "Hate"
definition = "Attacks a group."
hotkey = "h"
[[category]]
id = "spam"
title = "Spam"
definition = "Unwanted selling."
hotkey = "s"
"""
RECIPE = """
[intake.decisions.probabilities]
hate = "score_hate"
spam = "score_spam"
"""
CHAINED = """
[training]
min_labels = 20
retrain_after_labels = 50
embedding_dimensions = 8
folds = 3
[gate]
margin = 0.3
min_test_items = 20
min_category_positives = 5
"""
HITL = (sys.executable, "-c", "from flows.cli import main; main()")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Prefect server and a Postgres of our own, with the schema in it."""
    made = Stack(tmp_path_factory.mktemp("deployed") / "state", label_studio=False)
    try:
        endpoints = made.up()
        assert endpoints.database_url is not None
        engine = connect(endpoints.database_url.get_secret_value())
        migrate(engine)
        engine.dispose()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def environment(stack: Stack) -> dict[str, str]:
    """What a person would have set: a state folder, a policy and a recipe of their own."""
    folder = stack.state.path
    (folder / "policy.toml").write_text(POLICY)
    (folder / "recipe.toml").write_text(RECIPE)
    return {
        "HITL_STATE": str(folder),
        "HITL_POLICY": str(folder / "policy.toml"),
        "HITL_RECIPE": str(folder / "recipe.toml"),
    }


@pytest.fixture
def prefect(
    stack: Stack, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """This process as a client of that server."""
    for name in [name for name in os.environ if name.startswith("HITL_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    changed = {
        PREFECT_API_URL: stack.endpoints().prefect_api_url,
        PREFECT_HOME: stack.state.path / "prefect-client",
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
    }
    with temporary_settings(changed):
        yield
        APILogHandler().flush()  # before the server goes
        EventsWorker.drain_all(timeout=30)


def run(flow: Any, **parameters: Any) -> State[Any]:
    """Run a flow here, and give the state that the server keeps of it."""
    state: State[Any] = asyncio.run(flow(**parameters, return_state=True))
    return state


def ask(question: Callable[[PrefectClient], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        async with get_client() as client:
            return await question(client)

    return asyncio.run(asked())


def stored(state: State[Any]) -> dict[str, Any]:
    """All that the server keeps of a run: itself, its task runs, log lines and artifacts."""
    APILogHandler().flush()
    run_id = state.state_details.flow_run_id
    assert run_id is not None

    async def read(client: PrefectClient) -> dict[str, Any]:
        mine = {"flow_runs": {"id": {"any_": [str(run_id)]}}}
        for _ in range(100):  # task runs travel as events, and arrive a little later
            tasks = (await client._client.post("/task_runs/filter", json=mine)).json()
            if tasks and tasks[0]["state_type"] in ("COMPLETED", "FAILED"):
                break
            await asyncio.sleep(0.1)
        logs = await client.read_logs(
            LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])), limit=200
        )
        return {
            "run": (await client.read_flow_run(run_id)).model_dump(mode="json"),
            "tasks": tasks,
            "logs": [line.message for line in logs],
            "artifacts": (await client._client.post("/artifacts/filter", json=mine)).json(),
        }

    found: dict[str, Any] = ask(read)
    return found


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_row(item_id: str, **changed: Any) -> dict[str, Any]:
    return {
        "content_id": item_id,
        "text": f"{CANARY} of {item_id}",
        "language": "en",
        "surface": "posts",
        "created_at": "2026-06-01T12:00:00Z",
        "model_version": "m1",
        "score_hate": 0.5,
        "score_spam": 0.25,
        "predicted_action": "review",
    } | changed


@pytest.mark.usefixtures("prefect")
def test_an_ingest_shows_its_counts_and_none_of_its_content(tmp_path: Path) -> None:
    source = write_rows(
        tmp_path / "rows.jsonl", make_row("i1"), make_row("i2"), make_row("i3", score_hate=CANARY)
    )

    state = run(deployed.ingest_decisions, source=str(source))

    kept = stored(state)
    artifacts = {one["key"]: one["data"] for one in kept["artifacts"]}
    table = {line["figure"]: line["value"] for line in json.loads(artifacts["ingest-decisions"])}
    assert "Completed" == state.name
    assert ("3", "1") == (table["contents.new"], table["decisions.rejected"])
    assert 100.0 == artifacts["ingest-decisions-progress"]
    assert kept["logs"]
    assert CANARY not in json.dumps(kept)


@pytest.mark.usefixtures("prefect")
def test_what_is_unavailable_is_tried_again_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def flaky(world: Any, **_: Any) -> dict[str, Any]:
        calls.append(world.policy.name)
        if len(calls) < 3:
            raise Unavailable("the tea is not ready; wait") from ValueError(CANARY)
        return {"items": 1, "is_first": False}

    monkeypatch.setattr(steps, "rescore", flaky)
    monkeypatch.setattr(deployed, "attempt", deployed.attempt.with_options(retry_delay_seconds=0))

    state = run(deployed.rescore)

    kept = stored(state)
    assert "Completed" == state.name
    assert ["elsewhere"] * 3 == calls
    assert [3] == [one["run_count"] for one in kept["tasks"]]
    assert any("the tea is not ready" in line for line in kept["logs"])
    assert CANARY not in json.dumps(kept)


@pytest.mark.usefixtures("prefect")
def test_what_stays_unavailable_fails_with_our_message_after_five_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def away(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise Unavailable("the tea is not ready; wait") from ValueError(CANARY)

    monkeypatch.setattr(steps, "rescore", away)
    monkeypatch.setattr(deployed, "attempt", deployed.attempt.with_options(retry_delay_seconds=0))

    state = run(deployed.rescore)

    assert 5 == len(calls)
    assert ("Failed", "the tea is not ready; wait") == (state.name, state.message)
    assert CANARY not in json.dumps(stored(state))


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Refused("entry 7 is closed; open another"), "entry 7 is closed; open another"),
        (ValueError(f"no such row: {CANARY}"), "rescore broke: ValueError at test_deployments_e2e"),
    ],
    ids=["a refusal", "a stranger's error"],
)
def test_what_cannot_mend_itself_is_tried_once_and_says_why(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise error from ValueError(CANARY)

    monkeypatch.setattr(steps, "rescore", refuse)

    state = run(deployed.rescore)

    kept = stored(state)
    assert 1 == len(calls)
    assert "Failed" == kept["run"]["state"]["name"]
    assert kept["run"]["state"]["message"].startswith(message)
    assert CANARY not in json.dumps(kept)


@pytest.mark.usefixtures("prefect")
def test_a_run_that_finds_another_at_work_is_skipped_and_no_failure(stack: Stack) -> None:
    url = stack.endpoints().database_url
    assert url is not None
    engine = connect(url.get_secret_value())

    with single_flight(engine, "rescore elsewhere"):
        state = run(deployed.rescore)
    engine.dispose()

    assert (True, "Skipped") == (state.is_completed(), state.name)
    assert "rescore elsewhere is already running" in str(state.message)


@pytest.mark.usefixtures("prefect")
def test_registering_twice_leaves_the_deployments_their_automations_and_what_was_paused() -> None:
    first = deployments.register()
    before = ask(registered)
    ask(lambda client: pause(client, "measure/hitl"))

    again = deployments.register()

    after = ask(registered)
    assert first == again
    assert (18, 13) == (len(before["deployments"]), len(before["automations"]))
    assert before["deployments"] == after["deployments"]
    assert before["automations"] == after["automations"]
    assert ([], ["flows.deployed.measure"]) == (before["paused"], after["paused"])


async def registered(client: PrefectClient) -> dict[str, Any]:
    found = await client.read_deployments()
    automations = await client._client.post("/automations/filter", json={})
    return {
        "deployments": {one.entrypoint: (one.id, len(one.schedules)) for one in found},
        "paused": [one.entrypoint for one in found if one.paused],
        "automations": sorted(one["name"] for one in automations.json()),
    }


@pytest.mark.usefixtures("prefect")
def test_of_the_runs_that_nobody_served_only_the_newest_of_each_deployment_stays() -> None:
    deployments.register()
    due = "collect-annotations/hitl"
    before = wait_for(lambda: enough(ask(lambda client: scheduled_of(client, due))))
    by_hand = ask(lambda client: start(client, "measure/hitl"))

    forgotten = deployments.forget_missed_runs(datetime.now(UTC) + timedelta(days=1))

    left = ask(lambda client: scheduled_of(client, due))
    assert forgotten >= len(before) - 1
    # The server may have scheduled more in the meantime; of those before, the newest at most stays.
    assert left
    assert before & left <= {max(before, key=lambda one: one[1])}
    assert [by_hand] == [run.id for run in ask(lambda c: runs_of(c, "measure/hitl", by_hand))]


async def scheduled_of(client: PrefectClient, name: str) -> set[tuple[Any, datetime]]:
    """Id and moment of the runs that a schedule asks for and nobody has begun."""
    return {
        (run.id, run.expected_start_time)
        for run in await runs_of(client, name)
        if run.auto_scheduled and run.state and run.state.is_scheduled() and run.expected_start_time
    }


def enough(runs: set[tuple[Any, datetime]]) -> set[tuple[Any, datetime]] | None:
    return runs if len(runs) > 2 else None


@pytest.mark.usefixtures("prefect")
def test_a_schedule_that_was_switched_off_stays_off() -> None:
    deployments.register()
    ask(lambda client: switch_off(client, "rescore/hitl"))

    deployments.register()

    assert {"rescore/hitl": [False], "measure/hitl": [True]} == {
        name: ask(lambda client, name=name: schedules_of(client, name))
        for name in ("rescore/hitl", "measure/hitl")
    }


async def schedules_of(client: PrefectClient, name: str) -> list[bool]:
    found = await client.read_deployment_by_name(name)
    return [one.active for one in found.schedules]


async def switch_off(client: PrefectClient, name: str) -> None:
    found = await client.read_deployment_by_name(name)
    for one in found.schedules:
        await client.update_deployment_schedule(found.id, one.id, active=False)


async def start(client: PrefectClient, name: str, **parameters: Any) -> Any:
    found = await client.read_deployment_by_name(name)
    created = await client.create_flow_run_from_deployment(found.id, parameters=parameters)
    return created.id


async def runs_of(client: PrefectClient, name: str, run_id: Any = None) -> list[FlowRun]:
    found = await client.read_deployment_by_name(name)
    answer = await client._client.post(
        "/flow_runs/filter", json={"deployments": {"id": {"any_": [str(found.id)]}}}
    )
    runs = [FlowRun.model_validate(one) for one in answer.json()]
    return [one for one in runs if run_id in (None, one.id)]


def wait_for(found: Callable[[], Any], *, seconds: float = 180.0) -> Any:
    """What `found` gives once it gives something. The limit is for a machine that is very busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"still nothing after {seconds:.0f} s")


@contextmanager
def serving(environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`hitl deploy --serve`, started in a folder that is not the repository."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("HITL_", "PREFECT_"))}
    with (folder / "serve.log").open("wb") as log:
        started = subprocess.Popen(
            [*HITL, "deploy", "--serve", "--limit", "2"], env=own | environment, cwd=folder,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.mark.usefixtures("prefect")
def test_served_runs_start_by_hand_and_by_event_with_the_environment_of_the_server(
    environment: dict[str, str], tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "more.jsonl", make_row("j1"))
    deployments.register()
    for name in ("dispatch-batch/hitl", "collect-annotations/hitl"):
        # They would need a Label Studio, which is not what is asked here.
        ask(lambda client, name=name: pause(client, name))

    with serving(environment, tmp_path) as runner:
        by_hand = ask(lambda c: start(c, "ingest-decisions/hitl", source=str(source)))
        emit_event(
            events.LABELS_READY,
            resource={"prefect.resource.id": "hitl.policy.elsewhere"},
            payload={"labels": 200},
        )
        ingested = wait_for(lambda: ask(lambda c: ended(c, "ingest-decisions/hitl", by_hand)))
        decided = wait_for(lambda: ask(lambda c: ended(c, "retrain/hitl")))
        family = psutil.Process(runner.pid).children(recursive=True)
        runner.send_signal(signal.SIGINT)
        runner.wait(timeout=120)

    assert "Completed" == ingested.state.name
    assert "Completed" == decided.state.name
    assert "AUTOMATION" == decided.created_by.type
    assert CANARY not in (tmp_path / "serve.log").read_text()
    assert [] == [one.pid for one in family if one.is_running()]


@pytest.mark.usefixtures("prefect")
def test_enough_new_labels_set_off_a_decision_a_snapshot_a_training_a_promotion_and_a_rescore(
    environment: dict[str, str], tmp_path: Path, engine: Engine, database_url: str
) -> None:
    folder = tmp_path / "chain"
    folder.mkdir()
    (folder / "policy.toml").write_text(POLICY.replace("elsewhere", "chained"))
    (folder / "recipe.toml").write_text(RECIPE + CHAINED)
    fill(engine)
    label_batch(engine, load_policy(folder / "policy.toml"), batch_id="b1")
    chained = environment | {
        "HITL_POLICY": str(folder / "policy.toml"),
        "HITL_RECIPE": str(folder / "recipe.toml"),
        "HITL_DATABASE_URL": database_url,
    }
    names = [f"{one}/hitl" for one in (
        "retrain", "freeze-snapshot", "train-challenger", "shadow", "promote-champion", "rescore",
    )]  # fmt: skip
    deployments.register()
    known = {name: {run.id for run in ask(lambda c, name=name: runs_of(c, name))} for name in names}

    with serving(chained, tmp_path) as runner:
        # No project was made, so that there is no Label Studio to ask: it only counts what is new.
        collected = ask(lambda c: start(c, "collect-annotations/hitl"))
        wait_for(lambda: ask(lambda c: ended(c, "collect-annotations/hitl", collected)))
        chain = [
            wait_for(lambda name=name: ask(lambda c: ended_by_event(c, name, known[name])))
            for name in names
        ]
        runner.send_signal(signal.SIGINT)
        runner.wait(timeout=120)

    assert ["Completed"] * len(names) == [run.state.name for run in chain]
    with engine.connect() as connection:
        champions = connection.execute(
            text("SELECT model_version FROM model_versions WHERE state = 'champion'")
        ).all()
        decided = connection.execute(
            text("SELECT DISTINCT model_version FROM decisions WHERE model_version <> 'production'")
        ).all()
        reasons = connection.execute(
            text("SELECT rule FROM dashboard.retrain_decisions WHERE retrain AND fired")
        ).all()
    assert 1 == len(champions)
    assert champions == decided
    assert [("first_model",)] == [tuple(one) for one in reasons]


async def ended_by_event(client: PrefectClient, name: str, known: set[Any]) -> FlowRun | None:
    return next(
        (
            run
            for run in await runs_of(client, name)
            if run.id not in known
            and run.created_by
            and run.created_by.type == "AUTOMATION"
            and run.state
            and run.state.is_final()
        ),
        None,
    )


async def pause(client: PrefectClient, name: str) -> None:
    found = await client.read_deployment_by_name(name)
    await client.pause_deployment(found.id)


async def ended(client: PrefectClient, name: str, run_id: Any = None) -> FlowRun | None:
    runs = await runs_of(client, name, run_id)
    return next((one for one in runs if one.state and one.state.is_final()), None)
