"""The receiver of webhooks: hints are kept, nothing is believed, and storms change nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from flows.collecting.collector import Collector
from flows.serve import application, collector_of
from hitl import web
from hitl.db import begin
from hitl.labelstudio import SECRET_HEADER, store
from tests.flows.loops import Loop
from tests.labelstudio.fake import chose
from tests.web.pushing import world_of
from tests.web.serving import serving

pytestmark = pytest.mark.postgres

SECRET = "the-secret-of-the-webhook"
CANARY = "quokka-canary-7731"


def payload(project_id: int, task_id: int, action: str = "ANNOTATION_CREATED") -> dict[str, Any]:
    """What Label Studio 1.23.2 sends, less most of it."""
    project = {"id": project_id, "title": "x", "token": CANARY}
    if action == "ANNOTATIONS_DELETED":
        return {"action": action, "annotations": [{"id": 99}], "project": project}
    return {
        "action": action,
        "annotation": {"id": 99, "task": task_id, "result": [{"value": CANARY}]},
        "task": {"id": task_id, "data": {"text": CANARY}},
        "project": project,
    }


@dataclass
class Receiver:
    """A Label Studio with open tasks, and the server that its webhooks reach."""

    client: httpx.Client
    loop: Loop
    collector: Collector

    @property
    def project_id(self) -> int:
        return int(self.loop.rows("SELECT project_id FROM labelling_projects")[0][0])

    def tell(self, body: Any, *, secret: str | None = SECRET) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {SECRET_HEADER: secret} if secret else {}
        return self.client.post("/webhooks/label-studio", content=content, headers=headers)

    def kept(self) -> list[Any]:
        return self.loop.rows("SELECT project_id, task_id FROM wakeups ORDER BY 1, 2")

    def follow(self) -> None:
        """What the collector's thread does, until it has nothing left to follow."""
        while self.kept():
            assert self.collector.turn()


@pytest.fixture
def receiver(engine: Engine) -> Iterator[Receiver]:
    loop = Loop(engine)
    loop.wait("a", "b", "c")
    loop.dispatch()
    world: Any = SimpleNamespace(
        **vars(world_of(engine, webhook_secret=SecretStr(SECRET))) | {"label_studio": loop.server}
    )
    collector = collector_of(world, poll_seconds=3600)
    collector.turn()
    with serving(application(world, collector=collector)) as client:
        yield Receiver(client, loop, collector)


def test_an_answer_is_an_example_as_soon_as_its_webhook_is_followed(receiver: Receiver) -> None:
    task_id = receiver.loop.task_of("a")
    receiver.loop.server.answer(task_id, chose("hate"))

    receiver.loop.server.calls.clear()

    answer = receiver.tell(payload(receiver.project_id, task_id))
    receiver.follow()

    assert 204 == answer.status_code
    assert [("a",)] == receiver.loop.rows("SELECT item_id FROM examples")
    assert ["tasks"] == receiver.loop.server.calls


def test_a_deletion_names_no_task_and_wakes_the_whole_project(receiver: Receiver) -> None:
    task_id = receiver.loop.task_of("a")
    given = receiver.loop.server.answer(task_id, chose("hate"))
    receiver.tell(payload(receiver.project_id, task_id))
    receiver.follow()
    receiver.loop.server.take_back(given)

    receiver.tell(payload(receiver.project_id, task_id, "ANNOTATIONS_DELETED"))

    assert [(receiver.project_id, 0)] == receiver.kept()
    receiver.follow()
    assert [] == receiver.loop.rows("SELECT item_id FROM examples")


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET[:-1], SECRET + "x"])
def test_without_the_secret_nothing_is_kept(receiver: Receiver, secret: str | None) -> None:
    answer = receiver.tell(payload(receiver.project_id, 1), secret=secret)

    assert (401, []) == (answer.status_code, receiver.kept())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 50_000, 400),
        ([], 422),
        ({"project": {"id": "7; DROP TABLE tasks"}}, 422),
        ({"project": {"id": True}}, 422),
        ({"project": {"id": -1}}, 422),
        (b'{"a": "' + b"x" * 3_000_000 + b'"}', 413),
        ({"project": {"id": 999_999}, "task": {"id": 1}}, 204),
        ({"project": {"id": 10**30}, "task": {"id": 10**30}}, 204),
    ],
)
def test_what_is_not_about_ours_is_passed_over(receiver: Receiver, body: Any, status: int) -> None:
    answer = receiver.tell(body)

    assert (status, []) == (answer.status_code, receiver.kept())


def test_a_forged_hint_costs_a_look_and_changes_nothing(receiver: Receiver) -> None:
    before = receiver.loop.rows("SELECT entry_id, state FROM entries ORDER BY 1")
    forged = payload(receiver.project_id, receiver.loop.task_of("a"))
    forged["annotation"]["was_cancelled"] = True

    for body in (forged, payload(receiver.project_id, 10**12)):
        assert 204 == receiver.tell(body).status_code
    receiver.follow()

    assert before == receiver.loop.rows("SELECT entry_id, state FROM entries ORDER BY 1")
    assert [(0,)] == receiver.loop.rows("SELECT count(*) FROM annotations")


def test_a_hint_that_comes_while_another_is_followed_is_not_lost(receiver: Receiver) -> None:
    task_id = receiver.loop.task_of("a")
    receiver.tell(payload(receiver.project_id, task_id))
    # Seen by the collector before, answered and said again after it has looked.
    receiver.loop.server.after["tasks"] = lambda: None
    with begin(receiver.loop.engine) as tx:
        seen = web.store.wakeups(tx, limit=10)
    receiver.loop.server.answer(task_id, chose("hate"))
    receiver.tell(payload(receiver.project_id, task_id))

    with begin(receiver.loop.engine) as tx:
        web.store.forget_wakeups(tx, seen)

    assert [(receiver.project_id, task_id)] == receiver.kept()


def test_a_project_that_is_let_go_takes_its_hints_along(receiver: Receiver) -> None:
    receiver.tell(payload(receiver.project_id, receiver.loop.task_of("a")))

    with begin(receiver.loop.engine) as tx:
        store.forget_project(tx, receiver.project_id)

    assert [] == receiver.kept()


def test_nothing_of_a_body_reaches_tables_logs_or_figures(
    receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    said = receiver.tell(payload(receiver.project_id, receiver.loop.task_of("a"))).text
    said += receiver.tell(b'{"project": "' + CANARY.encode()).text
    said += receiver.client.get("/metrics").text
    said += str(receiver.loop.rows("SELECT * FROM wakeups"))
    logged = capfd.readouterr()

    assert CANARY not in said + logged.out + logged.err
    assert SECRET not in said + logged.out + logged.err
    assert "hitl_wakeups 1.0" in said


@pytest.mark.slow
def test_200_storms_of_webhooks_end_in_the_tables_of_a_poll(receiver: Receiver) -> None:
    """Each: answers, edits and withdrawals, of whose webhooks 30 % are dropped, 30 % doubled, all
    in any order, and followed in the middle of it; then one poll."""
    loop = receiver.loop
    seed = 20260601
    for storm in range(200):
        where = f"storm {storm} of seed {seed}"
        rng = random.Random(seed + storm)
        if storm % 20 == 0:
            loop.wait(*[f"s{one}-{n}" for one in range(storm, storm + 20) for n in range(3)])
            loop.dispatch()
        items = [f"s{storm}-{n}" for n in range(3)]
        said = [one for item in items for one in _events(loop, item, rng)]
        sent = [one for one in said if rng.random() > 0.3]
        sent += [one for one in sent if rng.random() < 0.3]
        rng.shuffle(sent)
        for body in sent:
            assert 204 == receiver.tell(body).status_code, where
            if rng.random() < 0.3:
                receiver.follow()
        receiver.follow()

        loop.step("collect_annotations")

        _check(loop, items, where)


def _events(loop: Loop, item: str, rng: random.Random) -> list[dict[str, Any]]:
    """What a reviewer does with one task, and the webhook of each."""
    task_id = loop.task_of(item)
    project_id = loop.server.held[task_id].project_id
    said = []
    given = loop.server.answer(task_id, chose("hate" if rng.random() < 0.5 else "spam"))
    said.append(payload(project_id, task_id))
    if rng.random() < 0.4:
        loop.server.edit(given, chose("none"))
        said.append(payload(project_id, task_id, "ANNOTATION_UPDATED"))
    if rng.random() < 0.2:
        loop.server.take_back(given)
        said.append(payload(project_id, task_id, "ANNOTATIONS_DELETED"))
        loop.server.answer(task_id, chose("spam"))
        said.append(payload(project_id, task_id))
    return said


def _check(loop: Loop, items: list[str], where: str) -> None:
    """What stands in the tables is what stands in Label Studio, once."""
    for item in items:
        task = loop.server.held[loop.task_of(item)]
        (last,) = task.annotations
        choices = last["result"][0]["value"]["choices"]
        wanted = {"hate": choices == ["hate"], "spam": choices == ["spam"]}
        votes = loop.rows(
            "SELECT v.answers FROM current_votes v JOIN entries USING (entry_id)"
            f" WHERE item_id = '{item}'"
        )
        labels = dict(
            loop.rows(f"SELECT category, value FROM current_labels WHERE item_id = '{item}'")
        )
        assert [(wanted,)] == votes, where
        assert wanted == labels, where
        assert "done" == loop.states()[item], where
