"""`python -m benchmarks.serving`: pushes beside a file's intake, webhooks, and label to example.

Exit 0 if every bar is met, 1 if one is missed, 2 if Label Studio is not installed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import Engine, text

from benchmarks.queue_ground import make_queue, server
from benchmarks.sampler_report import NO_PEER, Bars, Spread
from flows import steps
from flows.ingest_decisions import ingest_decisions
from flows.serve import application, collector_of, listen, server_of
from flows.stressing.people import Producer
from flows.wiring import World, read_policy
from hitl import logs
from hitl.db import begin
from hitl.labelstudio import SECRET_HEADER, LabelStudioClient, Webhook
from hitl.recipe import recipe_from
from hitl.services import Stack
from hitl.services.installation import find_installed
from hitl.settings import Settings, load_settings

TOKEN = "the-token-of-a-benchmark"
SECRET = "the-secret-of-a-benchmark"
POLL_SECONDS = 10.0
_ROWS_A_PUSH = 1_000


def world_of(engine: Engine, label_studio: object | None = None) -> World:
    """A world on this database, whose files name columns as pushes name fields."""
    policy = read_policy(Settings())
    columns = {one: f"probabilities.{one}" for one in policy.category_ids}
    recipe = recipe_from(
        {
            "intake": {
                "content": {"item_id": "item_id"},
                "decisions": {
                    "item_id": "item_id",
                    "decided_at": "decided_at",
                    "action": "action",
                    "probabilities": columns,
                },
            }
        },
        where="benchmark",
    )
    settings = Settings(
        api_tokens=SecretStr(f"bench={TOKEN}"),
        api_rows_per_second=1e9,
        webhook_url="http://127.0.0.1/webhooks/label-studio",
        webhook_secret=SecretStr(SECRET),
    )
    made = SimpleNamespace(
        engine=engine,
        settings=settings,
        policy=policy,
        recipe=recipe,
        label_studio=label_studio,
        webhook=None,
    )
    return cast(World, made)


@contextmanager
def hearing(world: World, *, poll_seconds: float | None = None) -> Iterator[str]:
    """`hitl serve` over this world, collecting if there is a poll; its address."""
    listening = listen("127.0.0.1", 0)
    collector = None if poll_seconds is None else collector_of(world, poll_seconds=poll_seconds)
    running = server_of(application(world, collector=collector))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    if collector is not None:
        collector.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()
        if collector is not None:
            collector.stop()
        listening.close()


def pushes_beside_files(
    engine: Engine, bars: Bars, *, rows: int, rounds: int, console: Console
) -> None:
    """The same kind of rows by `POST /v1/decisions`, one after the other, and from a file."""
    world = world_of(engine)
    ratios, rates = [], []
    with (
        hearing(world) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=120) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        for turn in range(rounds + 1):  # the first warms both up
            made = [
                Producer(client, TOKEN, world.policy.category_ids, _ROWS_A_PUSH, 60.0, seed)
                for seed in (2 * turn, 2 * turn + 1)
            ]
            batches = range(rows // _ROWS_A_PUSH)
            pushed = [made[0].body(one) for one in batches]
            path = Path(folder) / f"{turn}.jsonl"
            lines = (json.dumps(row) for one in batches for row in made[1].batch(one))
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")

            begun = time.perf_counter()
            for number, body in enumerate(pushed):
                assert made[0].answer(f"{turn}-{number}", body) == 202
            by_push = time.perf_counter() - begun
            begun = time.perf_counter()
            ingest_decisions(
                engine,
                source=str(path),
                kind="both",
                recipe=world.recipe,
                categories=world.policy.category_ids,
            )
            by_file = time.perf_counter() - begun
            if turn:
                ratios.append(by_file / by_push)
                rates.append(rows / by_push)
    console.print(f"pushed: {Spread.of(rates)} rows/s in batches of {_ROWS_A_PUSH:,}")
    bars.hold(
        "pushes, of the rate of `hitl ingest` on JSON lines", Spread.of(ratios), "at least", 0.5
    )


@dataclass
class Reviewer:
    """Somebody with an account at Label Studio."""

    client: httpx.Client

    def answer(self, task_id: int) -> float:
        """Submit, and say when it was begun."""
        begun = time.monotonic()
        choice = {
            "from_name": "violations",
            "to_name": "content",
            "type": "choices",
            "value": {"choices": ["none"]},
        }
        made = self.client.post(
            f"/api/tasks/{task_id}/annotations/", json={"result": [choice], "lead_time": 2.0}
        )
        made.raise_for_status()
        return begun


def open_tasks(world: World, count: int) -> dict[str, int]:
    """Waiting entries with their tasks in Label Studio."""
    with begin(world.engine) as tx:
        tx.execute(
            text(
                "INSERT INTO items (item_id, text, content_hash, content_at)"
                " SELECT 'label' || k, 'an invented post ' || k, md5(k::text), now()"
                " FROM generate_series(1, :count) k"
            ),
            {"count": count},
        )
    steps.select_batch(world, batch_id="labels", seed=1, limit=count)
    steps.dispatch_batch(world)
    with begin(world.engine) as tx:
        found = tx.execute(
            text("SELECT e.item_id, t.task_id FROM tasks t JOIN entries e USING (entry_id)")
        )
        return {row.item_id: row.task_id for row in found}


def labels_to_examples(
    world: World, reviewer: Reviewer, tasks: dict[str, int], *, every: float
) -> list[float]:
    """Answer these at a steady pace; seconds from each submission to its example row."""
    begun: dict[str, float] = {}
    seen: dict[str, float] = {}

    def watch() -> None:
        until = time.monotonic() + 120
        while len(seen) < len(tasks) and time.monotonic() < until:
            with begin(world.engine) as tx:
                there = tx.execute(text("SELECT item_id FROM examples")).scalars().all()
            now = time.monotonic()
            for one in there:
                if one in tasks:
                    seen.setdefault(one, now)
            time.sleep(0.05)

    watching = threading.Thread(target=watch)
    watching.start()
    for item, task_id in tasks.items():
        begun[item] = reviewer.answer(task_id)
        time.sleep(every)
    watching.join()
    assert seen.keys() == tasks.keys(), f"{len(tasks) - len(seen)} labels were lost"
    return [seen[one] - begun[one] for one in tasks]


def webhooks(world: World, bars: Bars, *, count: int, tasks: dict[str, int]) -> None:
    """How long Label Studio, and its reviewer with it, waits for the receiver."""
    with begin(world.engine) as tx:
        project_id = tx.execute(text("SELECT project_id FROM labelling_projects")).scalar_one()
    took = []
    with (
        hearing(world) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=10) as client,
    ):
        numbers = list(tasks.values())
        for k in range(count):
            body = {
                "action": "ANNOTATION_CREATED",
                "task": {"id": numbers[k % len(numbers)], "data": {"text": "x" * 5_000}},
                "project": {"id": project_id},
            }
            begun = time.perf_counter()
            answer = client.post(
                "/webhooks/label-studio", json=body, headers={SECRET_HEADER: SECRET}
            )
            took.append(time.perf_counter() - begun)
            assert answer.status_code == 204
    p95 = float(np.percentile(took, 95)) * 1000
    bars.hold(f"webhook answered, p95 of {count:,}", p95, "at most", 100, "ms")


def main() -> int:
    """Run all parts."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=20_000)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--labels", type=int, default=60)
    given = asked.parse_args()
    logs.configure(level="ERROR")
    console = Console(width=110)
    bars = Bars(console)
    settings = load_settings()
    venv = find_installed(settings.state_folder, settings.label_studio_venv)
    with server() as postgres:
        engine, _ = make_queue(postgres)
        pushes_beside_files(engine, bars, rows=given.rows, rounds=given.rounds, console=console)
        engine.dispose()
        if venv is None:
            bars.print()
            console.print("Label Studio is not installed: python -m hitl.services.install")
            return NO_PEER
        with tempfile.TemporaryDirectory(prefix="hitl-ls-", ignore_cleanup_errors=True) as folder:
            stack = Stack(
                Path(folder) / "state",
                prefect=False,
                label_studio_venv=venv,
                webhook_url="http://127.0.0.1/",
            )
            try:
                _with_label_studio(stack, make_queue(postgres)[0], bars, labels=given.labels)
            finally:
                stack.remove()
    return bars.print()


def _with_label_studio(stack: Stack, engine: Engine, bars: Bars, *, labels: int) -> None:
    endpoints = stack.up()
    assert endpoints.label_studio_url
    assert endpoints.label_studio_token
    token = endpoints.label_studio_token.get_secret_value()
    studio = LabelStudioClient(endpoints.label_studio_url, SecretStr(token))
    world = world_of(engine, studio)
    tasks: Any = open_tasks(world, 2 * labels)
    reviewer = Reviewer(
        httpx.Client(
            base_url=endpoints.label_studio_url,
            headers={"Authorization": f"Token {token}"},
            trust_env=False,
            timeout=60,
        )
    )
    with begin(engine) as tx:
        project_id = tx.execute(text("SELECT project_id FROM labelling_projects")).scalar_one()
    items = list(tasks)
    heard, unheard = (
        {one: tasks[one] for one in part} for part in (items[:labels], items[labels:])
    )
    with hearing(world, poll_seconds=3_600) as url:
        studio.ensure_webhook(
            project_id, Webhook(f"{url}/webhooks/label-studio", SecretStr(SECRET))
        )
        took = labels_to_examples(world, reviewer, heard, every=0.5)
    p95 = float(np.percentile(took, 95))
    bars.hold(f"label to example, webhook on, p95 of {len(took)}", p95, "at most", 5, "s")
    with hearing(world, poll_seconds=POLL_SECONDS):  # at another port than the webhook's
        took = labels_to_examples(world, reviewer, unheard, every=0.5)
    claim = f"label to example, receiver dead, worst of {len(took)}, of a poll cycle"
    bars.hold(claim, max(took) / POLL_SECONDS, "at most", 1.5)
    webhooks(world, bars, count=500, tasks=tasks)


if __name__ == "__main__":
    sys.exit(main())
