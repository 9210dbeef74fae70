"""`python -m benchmarks.measuring`: `hitl measure` over a month of decisions, on Postgres.

One model's decisions of 28 days, eight categories, an audit a day; 50,000 answered items in all.
What is timed is the flow itself: what was drawn and answered is read, flags are counted, seven
metrics with both intervals are computed of all items and by language, surface and market, and
stored. Beside it, by turns, the limit: one pass over the same decisions, that of counting the
flags of one category. Run with `--decisions 10000000` for the figure of the docs; making them
takes some minutes and 12 GB of disk. Memory is the most that the process holds, above what it held
before.

Options: `--decisions 1000000`, `--labels 50000`, `--rounds 3`. Exit 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psutil
from rich.console import Console
from sqlalchemy import Engine, text

from benchmarks.queue_ground import server, settle
from benchmarks.sampler_report import Bars, Spread
from flows.measure import MeasureReport, measure
from hitl.db import begin, connect, migrate
from hitl.db.versions import keep_policy
from hitl.policy import Policy, policy_from

START, DAYS = datetime(2026, 10, 1, tzinfo=UTC), 28
END = START + timedelta(days=DAYS)
CATEGORIES = 8
SECONDS, MEBIBYTES = 30.0, 512.0
_MIB = 2**20

# Straight into the tables, as months of use leave them: intake, selection and resolution are
# timed elsewhere.
_FILL = (
    """
    INSERT INTO items (item_id, text, content_hash, language, surface, market, content_at)
    SELECT 'item-' || k, 'what somebody wrote, number ' || k, md5(k::text),
           (ARRAY['en', 'pt', 'id', 'de', 'fr'])[1 + k % 5],
           (ARRAY['comment', 'bio', 'playlist', 'lyrics'])[1 + k % 4],
           (ARRAY['US', 'BR', 'ID', 'DE'])[1 + k % 4],
           CAST(:start AS timestamptz) + (k::float8 / :decisions) * :days * interval '1 day'
    FROM generate_series(0, :decisions - 1) k
    """,
    """
    INSERT INTO decisions (item_id, model_version, decided_at, probabilities)
    SELECT 'item-' || k, 'm1',
           CAST(:start AS timestamptz) + (k::float8 / :decisions) * :days * interval '1 day',
           jsonb_build_object({probabilities})
    FROM generate_series(0, :decisions - 1) k
    """,
    "INSERT INTO recipes (recipe_id, body) VALUES ('r', '{}')",
    """
    INSERT INTO batches (batch_id, policy_id, recipe_id, model_version, seed, plan, size_wanted,
                         read_at, training_pool_size, measuring_pool_size)
    SELECT 'b' || b, :policy_id, 'r', 'm1', 1, '{}', :labels / :days,
           CAST(:start AS timestamptz) + (b + 1) * interval '1 day', 0,
           :decisions / :days * (b + 1) - :labels / :days * b
    FROM generate_series(0, :days - 1) b
    """,
    # Each day's audit from that day's items; what matters here is how many there are.
    """
    INSERT INTO picks (batch_id, item_id, share, strategy, rank, inclusion_probability)
    SELECT 'b' || n % :days,
           'item-' || (:decisions / :days * (n % :days)
                       + (n / :days) * (:decisions / :labels)), 'audit', 'random', n / :days,
           (:labels / :days)::float8
               / (:decisions / :days * (n % :days + 1) - :labels / :days * (n % :days))
    FROM generate_series(0, :labels / :days * :days - 1) n
    """,
    """
    INSERT INTO entries (item_id, batch_id, policy_id, state, votes_wanted, closed_at)
    SELECT item_id, batch_id, :policy_id, 'done', 1, now() FROM picks
    """,
    """
    INSERT INTO labels (entry_id, item_id, policy_id, category, revision, value, weight, votes_for,
                        votes_total, decided_by)
    SELECT e.entry_id, e.item_id, :policy_id, c.category, 1,
           random() < (d.probabilities ->> c.category)::float8, 1, 1, 1, 'majority'
    FROM entries e JOIN decisions d USING (item_id)
    CROSS JOIN (SELECT category FROM policy_categories WHERE policy_id = :policy_id) c
    """,
)
_PASS = """
    SELECT count(*) FROM decisions d
    WHERE d.model_version = 'm1' AND d.decided_at >= :start AND d.decided_at < :end
      AND (d.probabilities ->> 'c0')::float8 >= .5
"""


def make_policy() -> Policy:
    """Eight categories with a threshold of one half."""
    categories = [
        {"id": f"c{k}", "title": f"Category {k}", "definition": "Something.", "hotkey": str(k + 1)}
        for k in range(CATEGORIES)
    ]
    body = {"name": "community", "version": "1", "title": "Rules", "category": categories}
    return policy_from(body, where="benchmark")


def fill(engine: Engine, policy: Policy, *, decisions: int, labels: int) -> None:
    """The month, with answers for every audit."""
    given = {
        "start": START, "days": DAYS, "decisions": decisions, "labels": labels,
        "policy_id": policy.policy_id,
    }  # fmt: skip
    probabilities = ", ".join(f"'c{k}', round(power(random(), 8)::numeric, 4)"
                              for k in range(CATEGORIES))  # fmt: skip
    with begin(engine) as tx:
        keep_policy(tx, policy)
        tx.execute(
            text("SELECT make_decision_month(date_trunc('month', CAST(:start AS date))::date)"),
            given,
        )
        # Rows as they are after their moves: the triggers would not let anybody write them so.
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in _FILL:
            tx.execute(text(statement.replace("{probabilities}", probabilities)), given)
    settle(engine)


def one_pass(engine: Engine) -> int:
    with begin(engine) as tx:
        return int(tx.execute(text(_PASS), {"start": START, "end": END}).scalar_one())


class _Most:
    """The most memory that this process holds meanwhile, above what it held before."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self.most = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.most = max(self.most, self._process.memory_info().rss)

    def __enter__(self) -> _Most:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def mebibytes(self) -> float:
        return (self.most - self._before) / _MIB


def timed(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    console = Console(width=120)
    bars = Bars(console)
    policy = make_policy()
    with server() as running:
        engine = connect(running.url("postgres"), statement_timeout_seconds=3600)
        migrate(engine)
        took = timed(lambda: fill(engine, policy, decisions=given.decisions, labels=given.labels))
        console.print(f"{given.decisions:,} decisions made in {took:.0f} s")
        seconds, passes, most = [], [], []
        for _ in range(given.rounds):
            passes.append(timed(lambda: one_pass(engine)))
            reports: list[MeasureReport] = []
            with _Most() as memory:
                seconds.append(
                    timed(
                        lambda: reports.append(  # noqa: B023 - called at once
                            measure(engine, policy=policy, start=START, end=END)
                        )
                    )
                )
            most.append(memory.mebibytes)
            [figures] = reports[0].by_model.values()
            numbers = sum(one.value is not None for one in figures)
            console.print(
                f"measured {reports[0].answered:,} answers in {seconds[-1]:.1f} s: "
                f"{len(figures):,} figures, {numbers:,} with a number; one pass {passes[-1]:.1f} s"
            )
        engine.dispose()
    ratio = [mine / limit for mine, limit in zip(seconds, passes, strict=True)]
    console.print(f"over one pass over the decisions: {Spread.of(ratio)} x")
    bars.hold("hitl measure, seconds", max(seconds), "at most", SECONDS, "s")
    bars.hold("memory above what was there", max(most), "at most", MEBIBYTES, "MiB")
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
