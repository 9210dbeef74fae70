"""Holders that are killed in the middle of their work, a small round of it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from hitl.db import begin
from tests.faults.killing import seed_of
from tests.faults.lease_holders import survive
from tests.queue.pulling import wait

pytestmark = pytest.mark.postgres


def test_killed_holders_lose_and_double_nothing(engine: Engine, database_url: str) -> None:
    seed = seed_of("lease holders")
    with begin(engine) as tx:
        made = wait(tx, [f"i{k}" for k in range(300)])

    found = survive(engine, database_url, holders=20, kills=6, lease_seconds=2.0, seed=seed)

    assert found.holds, f"HITL_FAULT_SEED={seed}: {found}"
    assert len(made) == found.answered
    assert found.kills
