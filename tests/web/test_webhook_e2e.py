"""A real Label Studio tells a real server of an answer: it is an example within seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from flows import steps
from flows.serve import application, collector_of, listen, server_of
from flows.wiring import World
from hitl.labelstudio import LabelStudioClient, Webhook
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.conftest import RunningLabelStudio
from tests.labelstudio.fake import chose
from tests.labelstudio.people import RealPeople
from tests.web.pushing import world_of

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

SECRET = "the-secret-of-the-webhook"


@dataclass
class Team:
    """A world whose server hears of what its reviewers do."""

    world: World
    people: RealPeople
    project_id: int

    def register(self, receiver: str, *, secret: str = SECRET) -> None:
        """Tell Label Studio where we listen."""
        where = Webhook(f"{receiver}/webhooks/label-studio", SecretStr(secret))
        self.world.label_studio.ensure_webhook(self.project_id, where)

    def tasks(self) -> dict[str, int]:
        rows = self.rows("SELECT e.item_id, t.task_id FROM tasks t JOIN entries e USING (entry_id)")
        return dict(rows)

    def rows(self, statement: str) -> list[Any]:
        with self.world.engine.begin() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]

    def examples(self) -> set[str]:
        return {row[0] for row in self.rows("SELECT item_id FROM examples")}

    def wait_for(self, *items: str) -> float:
        """Seconds until these items are examples."""
        begun = time.monotonic()
        while not set(items) <= self.examples():
            assert time.monotonic() - begun < 60, f"no example of {items}"
            time.sleep(0.05)
        return time.monotonic() - begun


@contextmanager
def hearing(world: World, *, poll_seconds: float) -> Iterator[str]:
    """`hitl serve` over this world; its address."""
    listening = listen("127.0.0.1", 0)
    collector = collector_of(world, poll_seconds=poll_seconds)
    server = server_of(application(world, collector=collector))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    collector.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        collector.stop()
        listening.close()


@pytest.fixture
def team(engine: Engine, label_studio_server: RunningLabelStudio) -> Iterator[Team]:
    people = RealPeople(label_studio_server.url, label_studio_server.token)
    client = LabelStudioClient(label_studio_server.url, SecretStr(label_studio_server.token))
    # A version of its own gives each test a project of its own.
    policy = make_policy(version=datetime.now(UTC).strftime("%H%M%S.%f"))
    names = [f"i{number}" for number in range(8)]
    with engine.begin() as tx:
        add_policy(tx, policy)
        add_items(tx, {one: f"text of {one}" for one in names})
        add_entries(tx, names, policy=policy)
    world = cast(
        World,
        SimpleNamespace(
            **vars(world_of(engine, webhook_secret=SecretStr(SECRET)))
            | {"label_studio": client, "policy": policy, "webhook": None}
        ),
    )
    steps.dispatch_batch(world)
    with engine.begin() as tx:
        project_id = tx.execute(text("SELECT project_id FROM labelling_projects")).scalar_one()
    yield Team(world, people, project_id)
    people.close()


def test_a_submitted_answer_is_an_example_within_seconds(team: Team) -> None:
    tasks = team.tasks()
    with hearing(team.world, poll_seconds=3600) as receiver:
        team.register(receiver)
        for item in ("i0", "i1"):
            team.people.answer(tasks[item], chose("hate", severity="3"))
        team.wait_for("i0", "i1")
        edited = team.people.answer(tasks["i2"], chose("hate", severity="3"))
        team.wait_for("i2")
        team.people.edit(edited, chose("spam", severity="3"))
        until = time.monotonic() + 60
        while [({"hate": False, "spam": True},)] != team.rows(
            "SELECT labels FROM examples WHERE item_id = 'i2'"
        ):
            assert time.monotonic() < until, "the edit was not heard of"
            time.sleep(0.05)
        team.people.take_back(edited)
        while "i2" in team.examples():
            assert time.monotonic() < until, "the deletion was not heard of"
            time.sleep(0.05)

    assert {"i0", "i1"} == team.examples()


def test_with_a_dead_receiver_one_poll_finds_what_nobody_told(team: Team) -> None:
    tasks = team.tasks()
    with hearing(team.world, poll_seconds=2) as receiver:
        team.register(
            f"http://127.0.0.1:{httpx.URL(receiver).port}", secret="not our secret at all"
        )
        team.people.answer(tasks["i0"], chose("hate", severity="3"))
        team.wait_for("i0")

        assert "hitl_wakeups 0.0" in httpx.get(f"{receiver}/metrics", trust_env=False).text
