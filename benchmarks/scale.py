"""Ten times the candidates: how much more work is that, on one machine and on two small workers?

    python -m benchmarks.scale [--items 10000000] [--rounds 3] [--folder /somewhere/large]

The default plan picks 1,000 of --items candidates and of a tenth as many, at 384 dimensions:

- by `choose`, from a memory-mapped pool on one machine;
- by `choose_partitioned` in one process, part by part;
- by `choose_partitioned` on two Dask workers of one thread and 1 GiB each.

What counts is CPU seconds of all processes together, after a round on a small pool that loads and
compiles everything. Both sizes alternate within a round. All three must give the same picks, and no
worker may have been stopped for its memory. Pools are made by this program on disk (1.6 GB a
million) and deleted afterwards; the default takes about 18 GB and some minutes.
Exit 1 if a bar is missed, 2 if there is no room for the pools.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.sampler_pools import CATEGORIES, DIMENSIONS, write_pool
from benchmarks.sampler_report import Bars, Spread
from sampling import DEFAULT_PLAN, Pool, Selection, choose
from sampling.partition import choose_partitioned
from sampling.partitions.core_sets import Lowest, Turns
from sampling.partitions.parts import parts_of
from sampling.partitions.shards import Shard
from sampling.partitions.tables import Terms
from sampling.partitions.tasks import embeddings_of, scan, survey

ITEMS, PICKS, SEED = 10_000_000, 1_000, 1
SMALL = 4_000
MOST_GROWTH = 11.0
NO_ROOM = 2
BYTES_A_ROW = 4 * (DIMENSIONS + 2 * CATEGORIES + 1) + 40

ONE_POOL, ONE_PROCESS = "choose, one machine", "parts, one process"
TWO_WORKERS = "parts, two Dask workers of 1 GiB"


@dataclass(frozen=True, slots=True)
class Run:
    """One choice: CPU seconds of all its processes, wall seconds, and what it picked."""

    cpu: float
    wall: float
    picks: tuple[str, ...]


class Processes:
    """This one and its workers, and the CPU seconds they have taken together."""

    def __init__(self, *others: int) -> None:
        self.all = [psutil.Process(), *(psutil.Process(one) for one in others)]

    def seconds(self) -> float:
        return sum(times.user + times.system for times in (one.cpu_times() for one in self.all))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    sizes = (asked.items // 10, asked.items)
    needed = int(1.05 * BYTES_A_ROW * (sum(sizes) + SMALL))
    free = shutil.disk_usage(asked.folder).free
    if free < needed:
        console.print(
            f"the pools take {needed / 1e9:.1f} GB and {asked.folder} has {free / 1e9:.1f}; name "
            "another --folder, or fewer --items"
        )
        return NO_ROOM
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hitl-scale-", dir=asked.folder) as place:
        for size in (SMALL, *sizes):
            make(Path(place) / str(size), size)
        return compare(console, Path(place), sizes, rounds=asked.rounds)


def make(folder: Path, rows: int) -> None:
    """A pool on disk, its ids beside as Parquet."""
    write_pool(folder, rows, seed=SEED)
    for unused in ("exclusive", "clusters"):
        (folder / f"{unused}.npy").unlink()
    ids = pa.table({"item_id": [f"post-{row:08d}" for row in range(rows)]})
    pq.write_table(ids, folder / "ids.parquet", row_group_size=1 << 18)


def shard_in(folder: Path) -> Shard:
    return Shard(
        table=str(folder / "ids.parquet"),
        probabilities=str(folder / "independent.npy"),
        embeddings=str(folder / "embeddings.npy"),
    )


def compare(console: Console, place: Path, sizes: tuple[int, int], *, rounds: int) -> int:
    runs: dict[tuple[str, int], list[Run]] = {}
    with two_workers() as (client, processes):
        ways = {
            ONE_POOL: (from_one_pool, Processes()),
            ONE_PROCESS: (lambda folder: from_parts(folder, None), Processes()),
            TWO_WORKERS: (lambda folder: from_parts(folder, client), processes),
        }
        client.run(warm_up, place / str(SMALL))
        for choose_from, who in ways.values():
            timed(choose_from, place / str(SMALL), who)
        for _round in range(rounds):
            for name, (choose_from, who) in ways.items():
                for size in sizes:
                    run = timed(choose_from, place / str(size), who)
                    runs.setdefault((name, size), []).append(run)
        highest = max(client.run(most_memory).values())
        is_whole = all(one.is_running() for one in processes.all)
    show(console, runs)
    bars = Bars(console)
    for name in ways:
        growth = [
            large.cpu / small.cpu
            for small, large in zip(*(runs[name, size] for size in sizes), strict=True)
        ]
        bars.hold(
            f"{sizes[1]:,} against {sizes[0]:,} candidates: {name}",
            Spread.of(growth),
            "at most",
            MOST_GROWTH,
        )
    different = sum(
        len(set(run.picks) ^ set(runs[ONE_POOL, size][0].picks))
        for (_name, size), found in runs.items()
        for run in found
    )
    bars.hold("picks that are not the same in all runs", different, "at most", 0, "picks")
    bars.hold("highest memory of a worker", highest, "at most", 1024, "MiB")
    bars.hold("workers that were stopped for it", int(not is_whole), "at most", 0, "")
    return bars.print()


def timed(choose_from: Any, folder: Path, who: Processes) -> Run:
    before, start = who.seconds(), time.perf_counter()
    found: Selection = choose_from(folder)
    wall = time.perf_counter() - start
    return Run(who.seconds() - before, wall, found.item_ids)


def from_one_pool(folder: Path) -> Selection:
    ids = pq.read_table(folder / "ids.parquet").column("item_id")
    probabilities, embeddings = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("independent", "embeddings")
    )
    pool = Pool(ids, probabilities, embeddings)
    return choose(DEFAULT_PLAN, pool, limit=PICKS, seed=SEED, threads=1)


def from_parts(folder: Path, client: Any) -> Selection:
    shards = [shard_in(folder)]
    return choose_partitioned(
        DEFAULT_PLAN, shards, limit=PICKS, seed=SEED, client=client, threads=1
    )


@contextmanager
def two_workers() -> Iterator[tuple[Any, Processes]]:
    """A client of two workers, each a process of one thread that is stopped above 1 GiB."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit="1GiB",
            dashboard_address=None,
            worker_dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client, Processes(*client.run(process_id).values())


def warm_up(folder: Path) -> None:
    """What a worker does, on a small part: it loads and compiles that, and nothing else."""
    (part,) = parts_of([shard_in(folder)])
    criteria = (Lowest(bytes(16), 10), Turns("half", 10, 5, bytes(16)))
    survey(part, None, (Terms(), (None,), criteria))
    scan(part, None, (Terms(), criteria))
    embeddings_of(part, np.arange(10), None)


def process_id() -> int:
    return psutil.Process().pid


def most_memory() -> float:
    """Of this process, in MiB, at its highest."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def show(console: Console, runs: dict[tuple[str, int], list[Run]]) -> None:
    table = Table(title=f"{PICKS:,} picks, default plan (median and range)", title_justify="left")
    for heading in ("by", "candidates", "CPU s", "wall s"):
        table.add_column(heading, justify="left" if heading == "by" else "right")
    for (name, size), found in runs.items():
        cpu, wall = ([getattr(run, what) for run in found] for what in ("cpu", "wall"))
        table.add_row(name, f"{size:,}", str(Spread.of(cpu)), str(Spread.of(wall)))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
