"""Postgres taken away in mid-flow: what a person is told, and that running again mends it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hitl.db import connect, migrate
from hitl.services.postgres import PostgresServer
from tests.builders import make_policy
from tests.faults.databases import Databases, hang_up
from tests.faults.killing import Cut, Outcome, points, seed_of
from tests.faults.test_kill_intake_and_select import make_recipe, write_log
from tests.faults.trial import Ground, left_on

pytestmark = pytest.mark.postgres

POINTS = 6


def stop_at_once(folder: Path, pid: int) -> None:
    """What `pg_ctl stop -m immediate` does: no checkpoint, no goodbye; wait until it is gone."""
    os.kill(pid, signal.SIGQUIT)
    until = time.monotonic() + 30
    while PostgresServer.running(folder) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


class Server:
    """A Postgres that may be stopped and started, with what steps 1 and 2 need on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = PostgresServer.start(folder / "postgres", settings={"fsync": "off"})
        self.server.create_database("empty")
        engine = connect(self.server.url("empty"))
        migrate(engine)
        engine.dispose()
        self.databases = Databases(self.server.url("postgres"), empty="empty")
        self._like: dict[str, str] = {}

    def again(self) -> None:
        """Start it, as `hitl up` would."""
        self.server = PostgresServer.start(self._folder / "postgres", settings={"fsync": "off"})

    def fresh(self, step: str, name: str) -> Ground:
        """A copy of what `step` starts from."""
        state = self._folder / f"{step}-{name}"
        state.mkdir(parents=True)
        like = None
        if step == "select_batch":
            like = self._like.get(step) or self._prepare(step)
        return Ground(self.databases.make(like=like), state, make_policy(), make_recipe())

    def _prepare(self, step: str) -> str:
        taken_in = self.fresh("ingest_decisions", "prepared")
        done = taken_in.run("ingest_decisions", source=str(self.log))
        assert done.error is None, done.trace
        self._like[step] = taken_in.database_url
        return taken_in.database_url

    @property
    def log(self) -> Path:
        path = self._folder / "log.jsonl"
        return path if path.exists() else write_log(self._folder)

    def parameters(self, step: str) -> dict[str, str]:
        """What `step` is called with."""
        return {"batch_id": "b1"} if step == "select_batch" else {"source": str(self.log)}

    def cut(self, how: str, ground: Ground) -> Cut:
        """The cut of this name, as a process of its own can make it."""
        if how == "the server stops":
            return partial(stop_at_once, self._folder / "postgres", self.server.pid)
        return partial(hang_up, ground.database_url)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("cut"))
    yield made
    made.server.remove()


@pytest.mark.parametrize("step", ["ingest_decisions", "select_batch"])
@pytest.mark.parametrize("how", ["the server stops", "it hangs up"])
def test_a_step_that_loses_postgres_says_so_and_run_again_leaves_the_same_tables(
    server: Server, step: str, how: str
) -> None:
    parameters = server.parameters(step)
    reference = server.fresh(step, f"{how}-reference")
    whole = reference.run(step, **parameters)
    expected = left_on(reference, server.databases)
    seed = seed_of(step + how)
    told: list[Outcome] = []

    for at in points(whole.touches - 1, seed=seed)[:: max(1, 20 // POINTS)]:
        where = f"{step}, {how} at touch {at} of {whole.touches} (HITL_FAULT_SEED={seed})"
        ground = server.fresh(step, f"{how}-{at}")
        first = ground.run(step, at=at, cut=server.cut(how, ground), **parameters)
        server.again()
        second = ground.run(step, **parameters)

        # A pooled connection that was cut between two transactions is replaced unseen.
        assert first.error in (None, "DatabaseUnavailable"), f"{where}: {first.trace}"
        assert second.error is None, f"{where}, then: {second.trace}"
        assert expected == left_on(ground, server.databases), where
        told.append(first)

    said = [one.message for one in told if one.error]
    assert len(said) >= POINTS // 2
    for message in said:
        assert "Postgres at 127.0.0.1:" in message
        assert "`hitl up`" in message
        assert "what somebody wrote" not in message
