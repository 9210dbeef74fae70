"""Single flight is held by Postgres: released when the holder is gone, however it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from sqlalchemy import Engine

from hitl.db import AlreadyRunning, DatabaseUnavailable, begin, connect, single_flight

pytestmark = pytest.mark.postgres

_HOLD = """
import sys
from hitl.db import connect, single_flight
with single_flight(connect(sys.argv[1]), "train"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_while_the_first_holds_the_lock(
    engine: Engine, database_url: str
) -> None:
    other = connect(database_url)
    with single_flight(engine, "train"):
        with pytest.raises(AlreadyRunning, match="train is already running"):
            with single_flight(other, "train"):
                pass
        with single_flight(other, "collect"):
            pass
    with single_flight(other, "train"):
        pass
    other.dispose()


def test_a_killed_holder_frees_the_lock(engine: Engine, database_url: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert "held\n" == holder.stdout.readline()
    with pytest.raises(AlreadyRunning), single_flight(engine, "train"):
        pass

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()

    for _ in range(100):  # Postgres notices the closed socket, but not at once
        try:
            with single_flight(engine, "train"):
                return
        except AlreadyRunning:
            continue
    pytest.fail("the lock of a killed process was never freed")


def test_a_database_that_is_away_is_unavailable_and_says_what_to_do() -> None:
    nowhere = connect("postgresql://u:secret@127.0.0.1:9/none")

    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:9 .* `hitl up`") as caught:
        with begin(nowhere):
            pass

    assert "secret" not in str(caught.value)
