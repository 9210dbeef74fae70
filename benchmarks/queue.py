"""The queue: beside pgqueuer, flat whatever waits behind, and what is grave in time.

    python -m benchmarks.queue [--entries 10000] [--rounds 3] [--rows 50000 500000] [--minutes 60]
                               [--only pgqueuer|behind|waits]

A Postgres of its own, as it comes (`fsync` on). Ours claims a hundred, renews the lease, completes
them with two event rows each; pgqueuer dequeues a hundred, calls a handler that does nothing and
logs them. Both in processes of their own, ours and theirs by turns. Rates are by the clock; CPU is
of workers and server together, and says the same on a busy machine as on an idle one.
Exit 1 if a bar is missed, 2 if pgqueuer is not installed.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from benchmarks import queue_workers as workers
from benchmarks.queue_ground import fill, make_database, make_queue, server, settle
from benchmarks.queue_waits import MIX, Waits, waits
from benchmarks.sampler_report import NO_PEER, Bars, Spread
from hitl import queue
from hitl.services.postgres import PostgresServer

CLAIMS = 300


def beside_pgqueuer(
    running: PostgresServer, console: Console, bars: Bars, *, entries: int, rounds: int
) -> None:
    """Claim and finish the same number, one worker and four."""
    engine, url = make_queue(running)
    peer_url = make_database(running, name="pgqueuer")
    table = Table(title=f"{entries:,} claimed and finished, in hundreds")
    for heading in ("workers", "by", "a second", "CPU us each"):
        table.add_column(heading, justify="left" if heading == "by" else "right")
    for count in (1, 4):
        found: dict[str, list[workers.Emptied]] = {"ours": [], "pgqueuer": []}
        for _ in range(rounds):
            fill(engine, entries)
            found["ours"].append(
                workers.empty(workers.ours, url, workers=count, postmaster=running.pid)
            )
            workers.fill_peer(peer_url, entries)
            found["pgqueuer"].append(
                workers.empty(workers.pgqueuers, peer_url, workers=count, postmaster=running.pid)
            )
            assert not workers.left_at_peer(peer_url)
        for name, rows in found.items():
            table.add_row(
                str(count),
                name,
                str(Spread.of([entries / one.wall for one in rows])),
                str(Spread.of([one.cpu / entries * 1e6 for one in rows])),
            )
        pairs = list(zip(found["ours"], found["pgqueuer"], strict=True))
        told = f"{count} worker{'s' if count > 1 else ''}"
        faster = Spread.of([theirs.wall / mine.wall for mine, theirs in pairs])
        bars.hold(f"claims and finishes faster than pgqueuer, {told}", faster, "at least", 1.5)
        cheaper = Spread.of([theirs.cpu / mine.cpu for mine, theirs in pairs])
        bars.hold(f"CPU of pgqueuer over ours, {told}", cheaper, "at least", 1.5)
    console.print(table)
    engine.dispose()


def behind(
    running: PostgresServer, console: Console, bars: Bars, *, sizes: list[int], rounds: int
) -> None:
    """How long a claim of a hundred takes with so many waiting behind it; sizes take turns."""
    grounds = {}
    for size in sizes:
        engine, _ = make_queue(running)
        fill(engine, size)
        grounds[size] = engine
    taken: dict[int, list[list[float]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size, engine in grounds.items():
            taken[size].append(_claims(engine))
            settle(engine)
    table = Table(title="A claim of a hundred, ms")
    for heading in ("waiting behind", "p50", "p99"):
        table.add_column(heading, justify="right")
    for size, rows in taken.items():
        table.add_row(
            f"{size:,}",
            *(str(Spread.of([np.percentile(one, q) * 1e3 for one in rows])) for q in (50, 99)),
        )
    console.print(table)
    for size in sizes[1:]:
        for q in (50, 99):
            ratios = [
                float(np.percentile(more, q) / np.percentile(fewer, q))
                for more, fewer in zip(taken[size], taken[sizes[0]], strict=True)
            ]
            name = f"p{q} of a claim, {size:,} behind it over {sizes[0]:,}"
            bars.hold(name, Spread.of(ratios), "at most", 1.2)
    for engine in grounds.values():
        engine.dispose()


def _claims(engine: Engine) -> list[float]:
    """Seconds of each claim; what was claimed is given back."""
    seconds = []
    with engine.connect() as connection:
        for _ in range(CLAIMS):
            begun = time.perf_counter()
            with connection.begin():
                lease = queue.claim(connection, holder="h1", limit=100, seconds=60.0)
            seconds.append(time.perf_counter() - begun)
            assert lease is not None
            with connection.begin():
                queue.release(connection, lease)
    return seconds


def in_time(running: PostgresServer, console: Console, bars: Bars, *, minutes: int) -> None:
    """Waits at 120 % load, ours and first-in-first-out on the same arrivals."""
    engine, _ = make_queue(running)
    found = {name: waits(engine, minutes=minutes, fifo=name == "fifo") for name in ("ours", "fifo")}
    table = Table(title=f"Waits at 120 % load, {minutes} simulated minutes, in minutes")
    for heading in ("by", "lane", "SLA", "p95 of answered", "answered", "oldest waiting"):
        table.add_column(heading, justify="left" if heading in ("by", "lane") else "right")
    for name, result in found.items():
        for lane in MIX:
            table.add_row(
                name,
                lane.name,
                f"{lane.sla:g}",
                f"{result.p95(lane.name):.1f}",
                f"{len(result.answered[lane.name]):,}",
                f"{result.oldest(lane.name):.1f}",
            )
    console.print(table)
    ours: Waits = found["ours"]
    critical = MIX[0]
    bars.hold("critical lane: p95 wait", ours.p95(critical.name), "at most", critical.sla, "min")
    bars.hold("critical lane: longest still waiting", ours.oldest(critical.name), "at most",
              critical.sla, "min")  # fmt: skip
    bars.hold("longest wait of all over first-in-first-out's", ours.longest - found["fifo"].longest,
              "at most", ours.bound, "min")  # fmt: skip
    engine.dispose()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--only", choices=("pgqueuer", "behind", "waits"))
    given = parser.parse_args(arguments)
    parts = (given.only,) if given.only else ("pgqueuer", "behind", "waits")
    console = Console(width=120)
    bars = Bars(console)
    try:
        if "pgqueuer" in parts:
            workers.check_peer()
    except workers.NoPeer as missing:
        console.print(str(missing))
        return NO_PEER
    with server() as running:
        if "pgqueuer" in parts:
            beside_pgqueuer(running, console, bars, entries=given.entries, rounds=given.rounds)
        if "behind" in parts:
            behind(running, console, bars, sizes=given.rows, rounds=given.rounds)
        if "waits" in parts:
            in_time(running, console, bars, minutes=given.minutes)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
