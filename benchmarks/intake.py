"""`python -m benchmarks.intake`: decisions from Parquet to committed rows, beside raw COPY.

Raw COPY is what Postgres can do: the same decisions, already in its format, by one connection into
an empty table with the same columns and primary key. Ours also reads the file, checks every cell,
makes the items (a row each) and keeps what allows to run it twice. Both take turns on one server
with its own settings.

Options: --rows (1,000,000), --rounds (2), --memory-rows A B (1,000,000 10,000,000; 0 0: none),
--no-renamed (the same rows in another file, every one of which is looked up, are left out).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from flows.ingest_decisions import ingest_decisions
from hitl.db import connect, migrate
from hitl.recipe import Recipe, recipe_from
from hitl.services.postgres import PostgresServer

CATEGORIES = ("hate", "insult", "sexual", "violence")
ROWS_A_GROUP = 100_000
_JUNE = 1_780_272_000_000_000  # 2026-06-01, microseconds
_RAW = """
CREATE TABLE raw (
    item_id text NOT NULL, model_version text NOT NULL, decided_at timestamptz NOT NULL,
    action text, probabilities jsonb NOT NULL, is_shadow boolean NOT NULL DEFAULT false,
    ingested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (item_id, decided_at, model_version)
)
"""
_COLUMNS = "item_id, model_version, decided_at, action, probabilities"


def recipe() -> Recipe:
    columns = {one: f"score_{one}" for one in CATEGORIES}
    return recipe_from({"intake": {"decisions": {"probabilities": columns}}}, where="benchmark")


def write_log(path: Path, rows: int) -> Path:
    """A decision log of one month: random ids, four scores of six decimals, seeded."""
    rng = np.random.default_rng(20260101)
    writer = None
    for start in range(0, rows, ROWS_A_GROUP):
        count = min(ROWS_A_GROUP, rows - start)
        ids = rng.integers(0, 2**62, (count, 2))
        columns: dict[str, Any] = {
            "content_id": [f"{a:016x}{b:016x}" for a, b in ids.tolist()],
            "model_version": ["moderation-1.4.0"] * count,
            "created_at": pa.array(
                _JUNE + rng.integers(0, 30 * 86_400 * 10**6, count), pa.timestamp("us", tz="UTC")
            ),
            "predicted_action": rng.choice(["allow", "review", "remove"], count),
            "language": rng.choice(["en", "es", "pt"], count),
            "surface": rng.choice(["chat", "posts"], count),
        }
        columns |= {f"score_{one}": np.round(rng.random(count), 6) for one in CATEGORIES}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=ROWS_A_GROUP)
    assert writer is not None
    writer.close()
    return path


class Ground:
    """A server of the benchmark's own, and a fresh migrated database a turn."""

    def __init__(self, folder: Path) -> None:
        self.server = PostgresServer.start(folder / "postgres")
        self._made = 0

    def fresh(self) -> str:
        name = f"b{self._made}"
        self._made += 1
        self.server.create_database(name)
        engine = connect(self.server.url(name))
        migrate(engine)
        engine.dispose()
        return self.server.url(name)

    def drop(self, url: str) -> None:
        ours = psycopg2.connect(_plain(self.server.url("postgres")))
        ours.autocommit = True
        ours.cursor().execute(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")
        ours.close()


def _plain(url: str) -> str:
    return url.replace("+psycopg2", "")


def ours(url: str, log: Path) -> float:
    """Wall seconds of one ingest."""
    engine = connect(url)
    began = time.perf_counter()
    ingest_decisions(
        engine, source=str(log), kind="decisions", recipe=recipe(), categories=CATEGORIES
    )
    took = time.perf_counter() - began
    engine.dispose()
    return took


def in_its_format(url: str, into: Path) -> None:
    """What was taken in as CSV, in an order that is nobody's."""
    connection = psycopg2.connect(_plain(url))
    with into.open("wb") as file:
        connection.cursor().copy_expert(
            f"COPY (SELECT {_COLUMNS} FROM decisions ORDER BY hashtext(item_id)) "
            "TO STDOUT (FORMAT csv)",
            file,
        )
    connection.close()


def raw(url: str, lines: Path) -> float:
    """Wall seconds of one COPY."""
    connection = psycopg2.connect(_plain(url))
    cursor = connection.cursor()
    cursor.execute(_RAW)
    connection.commit()
    began = time.perf_counter()
    with lines.open("rb") as file:
        copy = f"COPY raw ({_COLUMNS}) FROM STDIN (FORMAT csv)"
        cursor.copy_expert(copy, file, 256 * 1024)
    connection.commit()
    took = time.perf_counter() - began
    connection.close()
    return took


# Not `ru_maxrss`: a child's begins with what its parent held when it was started.
_RESIDENT = """
import sys
from pathlib import Path
from benchmarks.intake import ours
ours(sys.argv[1], Path(sys.argv[2]))
held = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(held[0]) / 1024)
"""


def resident(url: str, log: Path) -> float:
    """MiB that a process of its own held at most, all it imports included."""
    done = subprocess.run(
        [sys.executable, "-c", _RESIDENT, url, str(log)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def main() -> int:
    # torch comes with it, which `hitl ingest` does without.
    from benchmarks.sampler_report import Bars, Spread

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory-rows", type=int, nargs=2, default=(1_000_000, 10_000_000))
    parser.add_argument("--no-renamed", dest="renamed", action="store_false")
    given = parser.parse_args()
    console = Console()
    bars = Bars(console)
    first, again, renamed = [], [], []
    with tempfile.TemporaryDirectory(prefix="hitl-intake-") as name:
        folder = Path(name)
        ground = Ground(folder)
        try:
            log = write_log(folder / "log.parquet", given.rows)
            other = folder / "other.parquet"
            other.hardlink_to(log)
            for _ in range(given.rounds):
                url = ground.fresh()
                took = ours(url, log)
                once_more = ours(url, log)
                in_its_format(url, folder / "lines.csv")
                copied = raw(url, folder / "lines.csv")
                console.print(
                    f"{given.rows:,} rows: ours {took:.1f} s, the file again {once_more:.2f} s, "
                    f"raw COPY {copied:.1f} s"
                )
                first.append(copied / took)
                again.append(copied / once_more)
                if given.renamed:
                    seconds = ours(url, other)
                    console.print(f"its rows in another file {seconds:.1f} s")
                    renamed.append(copied / seconds)
                ground.drop(url)
            bars.hold(
                "Parquet to committed rows, of raw COPY's rate", Spread.of(first), "at least", 0.5
            )
            bars.hold("the same file again", Spread.of(again), "at least", 0.7)
            if renamed:
                bars.hold("the same rows in another file", Spread.of(renamed), "at least", 0.5)
            if all(given.memory_rows):
                held = []
                for rows in given.memory_rows:
                    url = ground.fresh()
                    held.append(resident(url, write_log(folder / "log.parquet", rows)))
                    ground.drop(url)
                bars.hold("resident at most", held[-1], "at most", 500, "MiB")
                small, large = (f"{rows:,}" for rows in given.memory_rows)
                bars.hold(f"of {large} to {small} rows", held[1] / held[0], "at most", 1.1)
        finally:
            ground.server.remove()
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
