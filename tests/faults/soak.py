"""`python -m tests.faults.soak --seconds 600`: the whole loop, killed at random until told.

One world goes round and round: intake, selection, dispatch, people answering, collection, snapshot,
training, promotion, rescoring, measuring. Every step is cut off at a random touch, by SIGKILL, by
Postgres hanging up, by a full disk or by a network that breaks, and then run again. After each
recovery the written invariants must hold. Prints its seed and counts; exit 1 on a broken one.

On servers of its own; or, for a quick start, on those that HITL_TEST_POSTGRES and
HITL_TEST_LABEL_STUDIO name, which are then not killed.
"""

# ruff: noqa: T201 -- a program that tells how it goes

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from hitl.db import begin, connect, migrate
from hitl.labelstudio import LabelStudioClient
from hitl.policy import Policy
from hitl.recipe import Recipe, recipe_from
from hitl.services import Stack
from hitl.services.postgres import PostgresServer
from hitl.settings import load_settings
from tests.builders import make_policy
from tests.conftest import _execute, _with_database
from tests.faults import books
from tests.faults.databases import Databases, hang_up
from tests.faults.killing import Outcome, disk_full
from tests.faults.proxy import Proxy, at_random, healthy
from tests.faults.storm import Storm
from tests.faults.trial import Ground

ROWS_A_LOG = 30
PATIENCE_SECONDS = 8.0  # with Label Studio; a request that hangs is given up then
# What a step may say when there is nothing for it to do yet, or when it judges that it must not.
_NOTHING_TO_DO = frozenset(
    {
        "NothingToAsk",
        "QueueFull",
        "NothingToFreeze",
        "NoSnapshot",
        "TooFewLabels",
        "NothingToLearn",
        "NoChallenger",
        "NotPromotable",
        "NoChampion",
    }
)
_TRIES = 10
_BRIDGE = ("dispatch_batch", "collect_annotations", "collect_tasks")
_FILES = ("freeze_snapshot", "train_challenger", "promote_champion")


class Broken(Exception):
    """An invariant does not hold, or a step did not recover."""


@dataclass
class Soak:
    """One world, and what has been done to it."""

    stack: Stack | None  # None: servers of others, which are not killed
    ground: Ground
    databases: Databases
    storm: Storm
    seed: int
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)
    touches: dict[str, int] = field(default_factory=dict)
    cycle: int = 0
    items: int = 0
    is_loud: bool = False

    def until(self, seconds: float) -> None:
        """Go round until the time is over, and to the end of the round."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.round()
            self.tell(f"cycle {self.cycle}: {self.counts()}")

    def tell(self, line: str) -> None:
        """So that whoever watches sees it at once."""
        print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)

    def counts(self) -> str:
        """What was done so far, in a line."""
        return ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))

    def round(self) -> None:
        """Every step once, each cut off; the slow ones now and then."""
        self.cycle += 1
        self.cut_off("ingest_decisions", source=str(self.write_log()))
        self.check_intake()
        self.cut_off("select_batch", batch_id=f"b{self.cycle}")
        self.cut_off("dispatch_batch")
        heard = self.storm.work()
        if self.rng.random() < 0.05:
            self.kill_label_studio()
        self.rng.shuffle(heard)
        told = [one for one in heard if self.rng.random() > 0.3]
        self.done["webhook storms"] += 1
        for start in range(0, len(told), 5):
            self.cut_off("collect_tasks", task_ids=told[start : start + 5])
        # Twice, so that the second has changes of its own to be cut off in.
        self.cut_off("collect_annotations", sweep=self.rng.choice([None, True]))
        self.storm.work()
        self.cut_off("collect_annotations", sweep=self.rng.choice([None, False, True]))
        self.recover()
        if self.cycle % 3 == 0:
            for step in ("freeze_snapshot", "measure"):
                self.cut_off(step)
        if self.cycle % 9 == 0:
            self.cut_off("train_challenger")
            self.cut_off("promote_champion", approved_by="soak", force=True, note="a soak")
            self.cut_off("rescore")

    # Cuts ---------------------------------------------------------------------------------------

    def cut_off(self, step: str, **parameters: Any) -> None:
        """Cut the step off somewhere, run it again until it is done, and look at the books."""
        likely = self.touches.get(step, 40)
        at = self.rng.randint(1, max(2, likely))
        how = self.rng.choices(("kill", "cut", "disk", "network", "clock"), (70, 10, 6, 8, 6))[0]
        if (how == "disk" and step not in _FILES) or (how == "network" and step not in _BRIDGE):
            how = "kill"
        first = self._first(how, step, at, parameters)
        if first.error not in (None, "LabelStudioUnavailable", *_NOTHING_TO_DO):
            expected = {"cut": "DatabaseUnavailable", "disk": "OSError"}.get(how)
            if first.error != expected:
                raise Broken(f"{step}, {how} at touch {at}: {first.trace}")
        self.storm.engine.dispose()  # of those who look, nobody is left either
        self.databases.wait_until_left(self.ground.database_url)
        self._again(step, f"{step}, {how} at touch {at}", parameters)
        with self.databases.opened(self.ground.database_url) as engine:
            if wrong := books.out_of_balance(engine, policy=self.ground.policy):
                raise Broken(f"{step}, {how} at touch {at}: {wrong}")

    def _first(self, how: str, step: str, at: int, parameters: dict[str, Any]) -> Outcome:
        if how == "network":
            self.storm.proxy.choose = at_random(self.rng.randrange(10**6), share=0.3)
            first = self.ground.run(step, **parameters)
            self.storm.proxy.choose = healthy
            self.storm.proxy.drain()
            self.done["runs through a broken network"] += 1
        elif how == "clock":
            skew = self.rng.choice([-86_400.0, -60.0, 60.0, 86_400.0])
            first = self.ground.run(step, at=at, skew_seconds=skew, **parameters)
            self.done["runs with a wrong clock"] += 1
        elif how == "cut":
            cut = partial(hang_up, self.ground.database_url)
            first = self.ground.run(step, at=at, cut=cut, **parameters)
            self.done["Postgres cuts"] += 1
        elif how == "disk":
            first = self.ground.run(
                step, at=self.rng.randint(1, 6), cut=disk_full, files_only=True, **parameters
            )
            self.done["full disks"] += 1
        else:
            first = self.ground.run(step, at=at, **parameters)
        if self.is_loud:
            self.tell(f"{step}, {how} at touch {at}: {first.error or first.touches or 'killed'}")
        if first.killed:
            self.done["kills"] += 1
            self.done[f"kills of {step}"] += 1
        return first

    def _again(self, step: str, where: str, parameters: dict[str, Any]) -> None:
        for _ in range(_TRIES):
            again = self.ground.run(step, **parameters)
            # Where the machine is busy, Label Studio may be too slow with nobody breaking it.
            if again.error != "LabelStudioUnavailable":
                break
            self.done["runs again because Label Studio was slow"] += 1
        if again.error not in (None, *_NOTHING_TO_DO):
            raise Broken(f"{where}, then: {again.trace}")
        self.touches[step] = max(again.touches, self.touches.get(step, 40) * 9 // 10)

    def kill_label_studio(self) -> None:
        """A crash of Label Studio; whoever calls meanwhile hears of it, and the next one sweeps."""
        if self.stack is None:
            return
        self.stack.kill("label-studio")
        away = self.ground.run("collect_annotations")
        self.stack.up()
        if away.error != "LabelStudioUnavailable":
            raise Broken(f"Label Studio was killed, and the collection said {away}")
        self.done["kills of Label Studio"] += 1

    # What must be true --------------------------------------------------------------------------

    def recover(self) -> None:
        """Nothing is cut off for once; then here and there must be the same, answer by answer."""
        for step in ("dispatch_batch", "collect_annotations"):
            more = {"sweep": True} if step == "collect_annotations" else {}
            self._again(step, f"{step}, not cut off", more)
        if wrong := self.storm.broken_promises():
            raise Broken(f"after cycle {self.cycle}: {wrong}")
        self.done["recoveries without a loss"] += 1

    def write_log(self) -> Path:
        """More content with decisions: new items, some said twice, two that cannot be read."""
        rows = [self._row(self.items + k) for k in range(ROWS_A_LOG)]
        if self.items:
            rows += [self._row(self.rng.randrange(self.items)) for _ in range(5)]
        rows.append(self._row(self.items) | {"score_hate": 7.0})
        rows.append(self._row(self.items + 1) | {"created_at": "some day"})
        self.items += ROWS_A_LOG
        path = self.ground.state / f"log-{self.cycle}.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
        return path

    def _row(self, k: int) -> dict[str, Any]:
        rng = random.Random(f"{self.seed} {k}")
        words = " ".join(rng.choice(_WORDS) for _ in range(8))
        return {
            "content_id": f"i{k}",
            "text": f"{words} {'go away you lot' if k % 2 else 'have a good day'} {k}",
            "language": "en",
            "surface": "posts",
            "created_at": "2026-06-01T12:00:00Z",
            "model_version": "m1",
            "score_hate": round(rng.random(), 3),
            "score_spam": round(rng.random(), 3),
            "predicted_action": "review",
        }

    def check_intake(self) -> None:
        """Every item of every log is there once, and its decision with it."""
        with self.databases.opened(self.ground.database_url) as engine, begin(engine) as tx:
            found = tx.execute(
                text(
                    "SELECT (SELECT count(*) FROM items), (SELECT count(*) FROM decisions"
                    " WHERE model_version = 'm1'), (SELECT count(*) FROM items i WHERE NOT EXISTS"
                    " (SELECT 1 FROM decisions d WHERE d.item_id = i.item_id))"
                )
            ).one()
        if tuple(found) != (self.items, self.items, 0):
            raise Broken(f"after cycle {self.cycle}: {tuple(found)} in place of {self.items} items")


_WORDS = ("walk", "garden", "music", "evening", "recipe", "train", "window", "river", "paint")


def make_recipe() -> Recipe:
    body = {
        "intake": {
            "rows_per_chunk": 12,
            "decisions": {"probabilities": {"hate": "score_hate", "spam": "score_spam"}},
        },
        "selection": {"batch_size": 14, "waiting_limit": 60},
        "dispatch": {"window": 16, "tasks_per_push": 5, "tasks_per_project": 100},
        "collect": {"overlap_seconds": 10, "archive_after_hours": 0.01},
        "training": {
            "min_labels": 20,
            "folds": 2,
            "embedding_dimensions": 4,
            "retrain_after_labels": 20,
        },
        "gate": {"resamples": 100},
    }
    return recipe_from(body, where="soak")


@dataclass(frozen=True)
class Servers:
    """Where Label Studio and Postgres are."""

    label_studio_url: str
    token: str
    postgres_url: str
    stack: Stack | None = None


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Those that the environment names, else some of our own."""
    named = os.environ.get("HITL_TEST_LABEL_STUDIO"), os.environ.get("HITL_TEST_POSTGRES")
    if named[0] and named[1]:
        yield Servers(*named[0].split(), named[1])
        return
    stack = Stack(
        folder / "state", prefect=False, label_studio_venv=load_settings().label_studio_venv
    )
    try:
        endpoints = stack.up()
        postgres = PostgresServer.running(stack.state.path)
        assert endpoints.label_studio_url is not None
        assert endpoints.label_studio_token is not None
        assert postgres is not None
        token = endpoints.label_studio_token.get_secret_value()
        yield Servers(endpoints.label_studio_url, token, postgres.url("postgres"), stack)
    finally:
        stack.remove()


@contextmanager
def soaking(folder: Path, seed: int) -> Iterator[Soak]:
    """A world to soak, in databases that are dropped at the end."""
    with servers(folder) as on:
        empty = f"soak_{uuid.uuid4().hex[:8]}"
        _execute(on.postgres_url, f'CREATE DATABASE "{empty}"')
        engine = connect(_with_database(on.postgres_url, empty))
        migrate(engine)
        engine.dispose()
        databases = Databases(on.postgres_url, empty=empty)
        try:
            yield from _soak(folder, seed, on, databases)
        finally:
            databases.clear()
            _execute(on.postgres_url, f'DROP DATABASE "{empty}" WITH (FORCE)')


def _soak(folder: Path, seed: int, on: Servers, databases: Databases) -> Iterator[Soak]:
    rng = random.Random(seed)
    policy: Policy = make_policy(name=f"soak-{uuid.uuid4().hex[:8]}")
    recipe = make_recipe()
    database = databases.make()
    work = folder / "work"
    work.mkdir()
    headers = {"Authorization": f"Token {on.token}"}
    with (
        Proxy(on.label_studio_url, late_seconds=PATIENCE_SECONDS + 1) as proxy,
        httpx.Client(base_url=on.label_studio_url, headers=headers, timeout=120) as people,
        databases.opened(database) as engine,
    ):
        client = LabelStudioClient(on.label_studio_url, SecretStr(on.token), timeout_seconds=120)
        storm = Storm(engine, proxy, client, client, people, rng, policy, recipe)
        where: dict[str, Any] = {
            "label_studio_url": proxy.url,
            "label_studio_token": on.token,
            "request_timeout_seconds": PATIENCE_SECONDS,
        }
        ground = Ground(database, work, policy, recipe, where)
        yield Soak(on.stack, ground, databases, storm, seed, rng)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--loud", action="store_true", help="tell of every cut")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}, {given.seconds:g} s", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="hitl-soak-", ignore_cleanup_errors=True) as folder,
        soaking(Path(folder), seed) as soak,
    ):
        try:
            soak.is_loud = given.loud
            soak.until(given.seconds)
        except Broken as broken:
            print(f"BROKEN in cycle {soak.cycle} (--seed {seed}): {broken}", file=sys.stderr)
            print(soak.counts(), file=sys.stderr)
            return 1
        print(f"{soak.cycle} cycles: {soak.counts()}; no invariant was broken", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
