"""Label Studio itself killed while people annotate: what it kept comes in, acknowledged or not."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import httpx
import pytest
from sqlalchemy import text

from hitl.db import begin, connect
from hitl.recipe import recipe_from
from hitl.services import Stack
from hitl.services.postgres import PostgresServer
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.faults import books
from tests.faults.databases import Databases
from tests.faults.killing import seed_of
from tests.faults.trial import Ground
from tests.labelstudio.fake import chose

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

KILLS = 3
TASKS_A_KILL = 40
CLIENTS = 4


@pytest.fixture
def stack(label_studio_venv: Path) -> Iterator[Stack]:
    """A Label Studio of its own: the session's one serves others."""
    # A short path: it holds the socket of a Postgres.
    folder = Path(tempfile.mkdtemp(prefix="hitl-kill-"))
    made = Stack(folder / "state", prefect=False, label_studio_venv=label_studio_venv)
    try:
        made.up()
        yield made
    finally:
        made.remove()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class People:
    """Clients who answer task after task at once, and know which answers were acknowledged."""

    url: str
    token: str
    acknowledged: list[int] = field(default_factory=list)
    down: Event = field(default_factory=Event)

    def answer_all(self, task_ids: list[int]) -> None:
        """Every client answers its part, until all is done or the server no longer answers."""
        self.down.clear()
        parts = [task_ids[k::CLIENTS] for k in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._answer, parts))

    def _answer(self, task_ids: list[int]) -> None:
        headers = {"Authorization": f"Token {self.token}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=60) as http:
            for task_id in task_ids:
                if self.down.is_set():
                    return
                # The same id again is refused as a duplicate, not stored twice.
                body = {
                    "result": chose("hate" if task_id % 2 else "none"),
                    "unique_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.url}/{task_id}")),
                }
                try:
                    reply = http.post(f"/api/tasks/{task_id}/annotations/", json=body)
                except httpx.TransportError:
                    self.down.set()
                    return
                assert reply.status_code in (201, 409), reply.status_code
                if reply.status_code == 201:
                    self.acknowledged.append(int(reply.json()["id"]))


def test_no_answer_is_lost_or_doubled_when_label_studio_is_killed_while_people_annotate(
    stack: Stack, databases: Databases, tmp_path: Path
) -> None:
    seed = seed_of("label studio")
    rng = random.Random(seed)
    ground, people = dispatched(stack, databases, tmp_path)

    for kill in range(1, KILLS + 1):
        where = f"kill {kill} of {KILLS} (HITL_FAULT_SEED={seed})"
        mine = open_tasks(ground, databases)[:TASKS_A_KILL]
        already = len(people.acknowledged)
        go_on = already + rng.randrange(5, 30)
        with ThreadPoolExecutor(1) as beside:
            answering = beside.submit(people.answer_all, mine)
            while len(people.acknowledged) < go_on and not answering.done():
                time.sleep(0.005)
            stack.kill("label-studio")
            answering.result()
        # Who finds it away sweeps next time by itself; else the sweep that is due now and then.
        away = ground.run("collect_annotations") if kill % 2 else None
        stack.up()

        collected = ground.run("collect_annotations", sweep=None if away else True)

        assert away is None or "LabelStudioUnavailable" == away.error, f"{where}: {away}"
        assert collected.error is None, f"{where}: {collected.trace}"
        kept, ours = annotations_there(stack), annotations_here(ground, databases)
        assert kept == ours, where
        assert set(people.acknowledged) <= set(ours), where
        assert len(people.acknowledged) > already, where

    people.answer_all(open_tasks(ground, databases))
    assert ground.run("collect_annotations").error is None
    assert annotations_there(stack) == annotations_here(ground, databases)
    assert [] == open_tasks(ground, databases)
    with databases.opened(ground.database_url) as engine:
        assert [] == books.out_of_balance(engine, policy=ground.policy)


def dispatched(stack: Stack, databases: Databases, folder: Path) -> tuple[Ground, People]:
    """Tasks enough for every kill, out for review, and the people who answer them."""
    endpoints = stack.endpoints()
    assert endpoints.label_studio_url is not None
    assert endpoints.label_studio_token is not None
    url, token = endpoints.label_studio_url, endpoints.label_studio_token.get_secret_value()
    recipe = recipe_from({"collect": {"overlap_seconds": 10}}, where="test recipe")
    where = {"label_studio_url": url, "label_studio_token": token}
    ground = Ground(databases.make(), folder, make_policy(), recipe, where)
    texts = {f"i{k}": f"text {k}" for k in range(KILLS * TASKS_A_KILL)}
    with databases.opened(ground.database_url) as engine, begin(engine) as tx:
        add_policy(tx, ground.policy)
        add_items(tx, texts)
        add_entries(tx, texts, policy=ground.policy)
    for step in ("dispatch_batch", "collect_annotations"):
        done = ground.run(step)
        assert done.error is None, done.trace
    return ground, People(url, token)


def open_tasks(ground: Ground, databases: Databases) -> list[int]:
    """What nobody has answered yet, as our tables know it."""
    query = "SELECT task_id FROM tasks JOIN entries USING (entry_id) WHERE state = 'dispatched'"
    with databases.opened(ground.database_url) as engine, begin(engine) as tx:
        return sorted(tx.execute(text(query)).scalars())


def annotations_here(ground: Ground, databases: Databases) -> list[int]:
    """The number that Label Studio gave to every annotation that we hold a vote of."""
    query = "SELECT split_part(unique_id, '@', 1)::int FROM votes"
    with databases.opened(ground.database_url) as engine, begin(engine) as tx:
        return sorted(tx.execute(text(query)).scalars())


def annotations_there(stack: Stack) -> list[int]:
    """What Label Studio's own database holds, past its API."""
    postgres = PostgresServer.running(stack.state.path)
    assert postgres is not None
    engine = connect(postgres.url("labelstudio"))
    with engine.connect() as connection:
        found = sorted(connection.execute(text("SELECT id FROM task_completion")).scalars())
    engine.dispose()
    return found
