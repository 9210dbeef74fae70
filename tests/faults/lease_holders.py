"""Many holders pull from one queue while their processes are killed: nothing twice, nothing lost.

    python -m tests.faults.lease_holders [--holders 100] [--entries 10000] [--kills 200] [--seed 1]

Holders are threads, ten a process; a kill takes a process, and all that its holders held. Another
takes its place. Exit 1 where an entry was held by two at once, answered twice, or forgotten.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from hitl import queue
from hitl.db import begin, connect
from hitl.errors import Unavailable

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.preloaded"])
_PER_PROCESS = 10
_PER_CLAIM = 10


@dataclass(frozen=True)
class Survived:
    """What was found afterwards. `kills` is how many processes were killed."""

    kills: int
    answered: int
    taken_back: int
    held_twice: int
    answered_twice: int
    forgotten: int

    @property
    def holds(self) -> bool:
        return not (self.held_twice or self.answered_twice or self.forgotten)


def survive(
    engine: Engine, url: str, *, holders: int, kills: int, lease_seconds: float, seed: int
) -> Survived:
    """Let so many holders empty the queue, kill processes by chance, and count what came of it."""
    rng = random.Random(seed)
    names = [f"h{k}" for k in range(holders)]
    with begin(engine) as tx:
        for name in names:
            queue.allow(tx, name, "*")
    crews = [names[k : k + _PER_PROCESS] for k in range(0, holders, _PER_PROCESS)]
    running = [_start(url, crew, lease_seconds) for crew in crews]
    killed = 0
    while _open(engine):
        time.sleep(rng.uniform(0.02, 0.4))
        if killed < kills:
            at = rng.randrange(len(running))
            if running[at].is_alive():
                running[at].kill()
                running[at].join()
                killed += 1
            running[at] = _start(url, crews[at], lease_seconds)
    for one in running:
        one.join()
    return count(engine, kills=killed)


def _start(url: str, crew: list[str], lease_seconds: float) -> multiprocessing.process.BaseProcess:
    process = _PROCESSES.Process(target=_work, args=(url, crew, lease_seconds))
    process.start()
    return process


def _work(url: str, crew: list[str], lease_seconds: float) -> None:
    engine = connect(url)
    threads = [threading.Thread(target=_pull, args=(engine, name, lease_seconds)) for name in crew]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _pull(engine: Engine, holder: str, lease_seconds: float) -> None:
    """Work until nothing is open; a Postgres that has no connection free is asked again."""
    rng = random.Random()
    while True:
        try:
            if not _work_once(engine, holder, lease_seconds, rng) and not _open(engine):
                return
        except (queue.LeaseLost, Unavailable):
            # Slower than its lease, and somebody else has these now; or not heard at all.
            time.sleep(rng.uniform(0.05, 0.2))


def _work_once(engine: Engine, holder: str, lease_seconds: float, rng: random.Random) -> bool:
    """Claim, take a moment, hold on, answer most, give some back. False: nothing was free."""
    with begin(engine) as tx:
        lease = queue.claim(
            tx,
            holder=holder,
            limit=rng.randint(1, _PER_CLAIM),
            seconds=lease_seconds,
            failures_before_dead=99,
        )
    if lease is None:
        time.sleep(rng.uniform(0.05, 0.2))
        return False
    time.sleep(rng.uniform(0.0, 0.03))
    with begin(engine) as tx:
        queue.heartbeat(tx, lease, seconds=lease_seconds)
    back = [one for one in lease.entry_ids if rng.random() < 0.1]
    with begin(engine) as tx:
        queue.complete(tx, lease, [one for one in lease.entry_ids if one not in back])
        queue.release(tx, lease, back)
    return True


def _open(engine: Engine) -> bool:
    with begin(engine) as tx:
        found: bool = tx.execute(
            text("SELECT EXISTS (SELECT FROM entries WHERE state IN ('waiting', 'dispatched'))")
        ).scalar_one()
    return found


def count(engine: Engine, *, kills: int) -> Survived:
    """Go through the log of every entry: who had it when, and how that ended."""
    log = defaultdict(list)
    with begin(engine) as tx:
        for row in tx.execute(text("SELECT * FROM entry_events ORDER BY event_id")):
            log[row.entry_id].append(row)
        left_over = tx.execute(
            text("SELECT count(*) FROM entries WHERE lease_id IS NOT NULL")
        ).scalar_one()
    held_twice = answered = answered_twice = forgotten = taken_back = 0
    for events in log.values():
        holder = None
        done = 0
        for event in events:
            if event.to_state == "dispatched":
                held_twice += holder is not None
                holder = event.lease_id
            elif event.from_state == "dispatched":
                held_twice += event.lease_id != holder
                taken_back += event.to_state == "waiting"
                holder = None
            done += event.to_state == "done"
        answered += done > 0
        answered_twice += done > 1
        forgotten += done == 0
    return Survived(
        kills, answered, taken_back, held_twice, answered_twice, forgotten + int(left_over)
    )


def main(arguments: list[str] | None = None) -> int:
    """On a Postgres of its own."""
    from benchmarks.queue_ground import fill, make_queue
    from hitl.services.postgres import PostgresServer

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--holders", type=int, default=100)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--lease-seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="hitl-faults-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer.start(Path(folder) / "postgres")
        try:
            engine, url = make_queue(server)
            fill(engine, given.entries)
            begun = time.monotonic()
            found = survive(
                engine,
                url,
                holders=given.holders,
                kills=given.kills,
                lease_seconds=given.lease_seconds,
                seed=given.seed,
            )
            engine.dispose()
        finally:
            server.remove()
    sys.stdout.write(f"seed {given.seed}, {time.monotonic() - begun:.0f} s: {found}\n")
    return 0 if found.holds and found.answered == given.entries else 1


if __name__ == "__main__":
    sys.exit(main())
