"""Workers that empty a queue in processes of their own: ours, and pgqueuer's."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

import psutil
from sqlalchemy.engine import make_url

PER_CLAIM = 100
SECONDS = 60.0
_PROCESSES = multiprocessing.get_context("spawn")


class NoPeer(Exception):
    """pgqueuer is not installed."""

    def __init__(self) -> None:
        super().__init__("pgqueuer is not installed: `make bench` installs benchmarks/peers.txt")


def check_peer() -> None:
    if importlib.util.find_spec("pgqueuer") is None:
        raise NoPeer


@dataclass(frozen=True, slots=True)
class Emptied:
    """What emptying a queue took: seconds on the clock, and CPU seconds of workers and server."""

    wall: float
    cpu: float


def empty(work: Callable[..., None], url: str, *, workers: int, postmaster: int) -> Emptied:
    """From the moment all workers are ready until the last has found nothing more to do."""
    ready = _PROCESSES.Barrier(workers + 1)
    ended: Any = _PROCESSES.SimpleQueue()
    processes = [
        _PROCESSES.Process(target=work, args=(url, k, ready, ended)) for k in range(workers)
    ]
    for one in processes:
        one.start()
    ready.wait()
    start, server = time.monotonic(), _cpu_of_server(postmaster)
    told = [ended.get() for _ in processes]
    used = _cpu_of_server(postmaster) - server
    for one in processes:
        one.join()
    return Emptied(max(at for at, _ in told) - start, used + sum(cpu for _, cpu in told))


def _cpu_of_server(postmaster: int) -> float:
    """CPU seconds of a Postgres so far, its backends that have ended included."""
    root = psutil.Process(postmaster)
    total = 0.0
    for one in [root, *root.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = one.cpu_times()
            total += spent.user + spent.system
    ended = root.cpu_times()
    return total + ended.children_user + ended.children_system


def ours(url: str, number: int, ready: Barrier, ended: Any) -> None:
    """Claim a hundred, one heartbeat, then complete them and claim the next in one transaction,
    until nothing waits: two commits a batch, as many as pgqueuer has."""
    from hitl import queue
    from hitl.db import connect

    engine = connect(url)
    with engine.connect() as connection:
        with connection.begin():
            queue.skills_of(connection)
        ready.wait()
        begun = time.process_time()
        done = None
        while True:
            with connection.begin():
                if done is not None:
                    queue.complete(connection, done, done.entry_ids)
                lease = queue.claim(
                    connection, holder=f"h{number}", limit=PER_CLAIM, seconds=SECONDS
                )
            if lease is None:
                break
            with connection.begin():
                queue.heartbeat(connection, lease, seconds=SECONDS)
            done = lease
        ended.put((time.monotonic(), time.process_time() - begun))
    engine.dispose()


def pgqueuers(url: str, number: int, ready: Barrier, ended: Any) -> None:
    """Its own loop in its mode that ends with the queue, on uvloop: dequeue a hundred, call a
    handler that does nothing, log them as done."""
    import uvloop

    uvloop.run(_drain(_dsn(url), ready, ended))


async def _drain(dsn: str, ready: Barrier, ended: Any) -> None:
    import asyncpg
    from pgqueuer import AsyncpgDriver, PgQueuer
    from pgqueuer.domain.types import QueueExecutionMode

    peer = PgQueuer(AsyncpgDriver(await asyncpg.connect(dsn)))

    @peer.entrypoint("review")
    async def review(_job: Any) -> None:
        """Nothing to do."""

    await asyncio.to_thread(ready.wait)
    begun = time.process_time()
    await peer.run(batch_size=PER_CLAIM, mode=QueueExecutionMode.drain)
    ended.put((time.monotonic(), time.process_time() - begun))


def fill_peer(url: str, count: int) -> None:
    """So many jobs that wait, of random priorities, and nothing else."""
    asyncio.run(_fill_peer(_dsn(url), count))


async def _fill_peer(dsn: str, count: int) -> None:
    import random

    import asyncpg
    from pgqueuer import AsyncpgDriver, Queries

    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))
    if not await queries.schema_is_installed():
        await queries.install()
    priorities = [random.randrange(1000) for _ in range(count)]
    await queries.enqueue(["review"] * count, [b"1"] * count, priorities)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _left(dsn: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    left = await connection.fetchval("SELECT count(*) FROM pgqueuer")
    await connection.close()
    return int(left)


def left_at_peer(url: str) -> int:
    """Jobs that it has not finished."""
    return asyncio.run(_left(_dsn(url)))


def _dsn(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
