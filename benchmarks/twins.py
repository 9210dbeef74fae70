"""Near copies: fingerprints and links a second beside the library alone, and what a wave costs.

    python -m benchmarks.twins [--texts 100000] [--chunk 20000]

*Ours*: texts are brought to their plain form, signed, and linked in Postgres with every cluster in
step, a committed transaction a chunk. *The library alone*: rensa's deduplicator in memory with the
same runs of the same plain texts, cut in Python as its users do, the same places, bands and bar; it
keeps no clusters and forgets everything at its end. Both take turns, chunk by chunk, on the wall
clock; one text in five is a near copy of another.

*The wave*: ten thousand copies among as many other texts, ten batches of 200, with and without
`twins.is_on`. Exit 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rensa import RMinHash, RMinHashDeduplicator
from rich.console import Console
from sqlalchemy import Engine, insert, text

from benchmarks.near_copies import CHANGES, vocabulary, written
from benchmarks.sampler_report import Bars, Spread
from flows.select_batch import select_batch
from hitl import defaults, twins
from hitl.db import begin, connect, migrate, schema
from hitl.policy import load_policy
from hitl.recipe import Recipe, SelectionRecipe, TwinsRecipe
from hitl.records import BatchId, ItemId
from hitl.services.postgres import PostgresServer
from hitl.twins.fingerprints import BANDS, PLACES
from hitl.twins.plain_text import plain
from hitl.twins.shingles import LETTERS

BAR = 0.7
WAVE, OTHERS, BATCHES, BATCH = 10_000, 10_000, 10, 200


@contextmanager
def database() -> Iterator[Engine]:
    """An embedded Postgres as `hitl up` starts it, migrated and empty."""
    with tempfile.TemporaryDirectory(prefix="hitl-bench-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer.start(Path(folder) / "postgres")
        engine = connect(server.url("postgres"))
        try:
            migrate(engine)
            yield engine
        finally:
            engine.dispose()
            server.remove()


def made_texts(count: int, *, seed: int) -> list[str]:
    """Texts of 8 to 30 words; one in five is another with one change."""
    rng = np.random.default_rng(seed)
    words = vocabulary(rng)
    texts = [written(rng, words, int(rng.integers(8, 31))) for _ in range(count)]
    names = list(CHANGES)
    for row in rng.choice(count, count // 5, replace=False).tolist():
        change = CHANGES[names[int(rng.integers(len(names)))]]
        texts[row] = change(texts[int(rng.integers(count))], rng)
    return texts


def add_items(engine: Engine, texts: dict[str, str]) -> None:
    names = list(texts)
    with begin(engine) as tx:
        for start in range(0, len(names), 20_000):
            tx.execute(
                insert(schema.items),
                [
                    {
                        "item_id": one,
                        "text": texts[one],
                        "content_hash": one,
                        "content_at": "2026-06-01T12:00:00Z",
                    }
                    for one in names[start : start + 20_000]
                ],
            )


def runs_of(texts: list[str]) -> list[list[str]]:
    """The runs of each text's plain form, in Python."""
    found = []
    for one in map(plain, texts):
        last = max(len(one) - LETTERS + 1, 1)
        found.append([one[at : at + LETTERS] for at in range(last)])
    return found


def speeds(engine: Engine, texts: list[str], *, chunk: int) -> dict[str, list[float]]:
    """Seconds of each chunk, by what was done."""
    scheme = twins.text_scheme(BAR)
    alone = RMinHashDeduplicator(BAR, PLACES, True, BANDS, 42)
    seconds: dict[str, list[float]] = defaultdict(list)

    def timed(what: str, begun: float) -> float:
        now = time.perf_counter()
        seconds[what].append(now - begun)
        return now

    for start in range(0, len(texts), chunk):
        part = texts[start : start + chunk]
        names = [f"i{k:08d}" for k in range(start, start + len(part))]
        at = time.perf_counter()
        signatures = twins.text_signatures(part)
        at = timed("sign, ours", at)
        with begin(engine) as tx:
            twins.link(tx, scheme, [ItemId(one) for one in names], signatures)
        at = timed("link, ours", at)
        RMinHash.digest_matrix_from_token_sets(runs_of(part), PLACES, 42)
        at = timed("sign, alone", at)
        alone.add_pairs(zip(names, runs_of(part), strict=True))
        timed("sign and link, alone", at)
    return seconds


def reviews_of_a_wave(*, is_on: bool) -> list[int]:
    """How many picks of each of ten batches are copies of the wave."""
    rng = np.random.default_rng(5)
    words = vocabulary(rng)
    original = written(rng, words, 30)
    names = list(CHANGES)
    wave = [CHANGES[names[int(rng.integers(len(names)))]](original, rng) for _ in range(WAVE)]
    others = [written(rng, words, int(rng.integers(8, 31))) for _ in range(OTHERS)]
    policy = load_policy(defaults.folder() / "policy.toml")
    recipe = Recipe(
        selection=SelectionRecipe(batch_size=BATCH, waiting_limit=1_000_000),
        twins=TwinsRecipe(is_on=is_on),
    )
    with database() as engine:
        texts = {f"w{k:05d}": one for k, one in enumerate(wave)}
        add_items(engine, texts | {f"o{k:05d}": one for k, one in enumerate(others)})
        for k in range(BATCHES):
            select_batch(engine, batch_id=BatchId(f"b{k}"), policy=policy, recipe=recipe, seed=k)
        with begin(engine) as tx:
            rows = tx.execute(
                text(
                    "SELECT count(*) FILTER (WHERE item_id LIKE 'w%') FROM picks"
                    " GROUP BY batch_id ORDER BY batch_id"
                )
            )
            return [int(one) for one in rows.scalars()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--chunk", type=int, default=20_000)
    given = parser.parse_args(arguments)
    console = Console(width=120)
    texts = made_texts(given.texts, seed=1)
    with database() as engine:
        add_items(engine, {f"i{k:08d}": one for k, one in enumerate(texts)})
        twins.text_signatures(texts[:100])  # loads and compiles
        seconds = speeds(engine, texts, chunk=given.chunk)
        with begin(engine) as tx:
            [line] = twins.scheme_lines(tx)
            held = tx.execute(
                text(
                    "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(ARRAY["
                    "'twin_forms', 'twin_buckets', 'twin_items']) name"
                )
            ).scalar_one()
    sizes = np.array(
        [len(texts[at : at + given.chunk]) for at in range(0, len(texts), given.chunk)]
    )
    for what, spent in seconds.items():
        rate = Spread.of((sizes / np.array(spent)).tolist())
        console.print(f"{what:<22} {rate} texts/s")
    console.print(
        f"{line.items:,} texts, {line.clusters:,} clusters, {line.shared:,} of more than one, "
        f"{float(held) / line.items:,.0f} bytes a text in Postgres"
    )
    ours = np.array(seconds["sign, ours"]) + np.array(seconds["link, ours"])
    alone = np.array(seconds["sign and link, alone"])
    bars = Bars(console)
    size = f"{given.texts:,} texts"
    bars.hold(
        f"{size}: signed, against the library alone",
        Spread.of((np.array(seconds["sign, alone"]) / seconds["sign, ours"]).tolist()),
        "at least",
        0.8,
    )
    bars.hold(
        f"{size}: signed and linked in Postgres, committed, against the library in memory",
        Spread.of((alone / ours).tolist()),
        "at least",
        0.1,
    )
    with_twins, without = reviews_of_a_wave(is_on=True), reviews_of_a_wave(is_on=False)
    console.print(
        f"a wave of {WAVE:,} among {OTHERS:,} others costs {sum(with_twins)} of "
        f"{BATCHES * BATCH:,} reviews in {BATCHES} batches, {sum(without)} without: "
        f"{with_twins} and {without}"
    )
    bars.hold("a wave of 10,000: its reviews a batch", Spread.of(with_twins), "at most", 5, "")
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
