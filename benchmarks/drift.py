"""`python -m benchmarks.drift`: when drift is alarmed, and how often there is an alarm without any.

- **null**: made-up traffic that never changes, watched daily for a year, in many worlds. Beside our
  rule stands the usual one: every test at 5 %, every day.
- **log**: a real decision log with three planted drifts (Portuguese from day 45 and Indonesian from
  day 90, each growing over weeks; posts with adversarial emoji from day 120), replayed day by day
  through `hitl drift` on a Postgres of its own. Without the three the same log has no drift.
- **labels**: a promise of precision or recall, certified on the first weeks' audit labels, watched
  label by label (`watch_rate`).

    python -m benchmarks.drift [--data FOLDER] [--worlds 100] [--audit 0.1] [--no-log]

Exit 1 if a bar is missed; without the log 2, after the null.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, insert, text

from benchmarks.sampler_report import Bars
from benchmarks.text_sets import data_root
from flows.demo.real_log import CARD, CONTENT, DECISIONS, log_policy, log_recipe
from flows.freeze_snapshot import freeze_snapshot
from flows.ingest_decisions import ingest_decisions
from flows.promote_champion import promote_champion
from flows.train_challenger import train_challenger
from flows.watch_drift import DriftReport, watch_drift
from hitl import logs
from hitl.db import begin, connect, keep_policy, keep_recipe, migrate, schema
from hitl.evaluation import (
    About,
    Scores,
    ShiftKind,
    clopper_pearson,
    mix_shift,
    score_shift,
    together,
    watch_rate,
)
from hitl.policy import Policy
from hitl.recipe import AUDIT, DriftRecipe, Recipe
from hitl.services.postgres import PostgresServer

START = datetime.fromisoformat("2026-05-01T00:00:00+00:00")
DAYS = 180
DRIFTS = (("pt", 45, "pt_microblog"), ("id", 90, "id_microblog"), ("emoji", 120, "en_emoji_posts"))
RULE = DriftRecipe()
TRAINED_ON_DAYS = 28


# 1 · nothing changes ---------------------------------------------------------------------------


def null(console: Console, bars: Bars, *, worlds: int, items_a_day: int = 150) -> None:
    """Worlds of three kinds of item and two categories whose scores never change."""
    rng = np.random.default_rng(20260105)
    span = RULE.reference_days + RULE.window_days
    level = RULE.alpha / 2.0 / 365
    alarmed, naive, begun = np.zeros(worlds, bool), np.zeros(worlds, bool), time.perf_counter()
    for world in range(worlds):
        days = _made_days(rng, span + 365, items_a_day)
        sums = np.concatenate([np.zeros((1, *days.shape[1:])), np.cumsum(days, axis=0)])
        for end in range(span, span + 365):
            middle = end - RULE.window_days
            then, now = sums[middle] - sums[end - span], sums[end] - sums[middle]
            found = together(_asked(then, now), alpha=level)
            alarmed[world] |= any(one.is_alarm for one in found)
            naive[world] |= any(
                one.p_value is not None and one.p_value <= 0.05 for one in _asked(then, now)
            )
    console.print(
        f"a year of daily looks, {items_a_day} items a day, {worlds} worlds without drift: at "
        f"least one alarm in {alarmed.mean():.1%}; each test at 5 % every day in {naive.mean():.0%}"
        f" ({time.perf_counter() - begun:.0f} s)"
    )
    bars.hold("worlds with an alarm in a year without drift", float(alarmed.mean()), "at most",
              RULE.alpha, "")  # fmt: skip


def _made_days(rng: np.random.Generator, days: int, items: int) -> NDArray[np.float64]:
    """Counts (days, kinds, categories, buckets): beta scores, of each kind its own."""
    kinds, shares = 3, np.array([0.6, 0.3, 0.1])
    edges = np.linspace(0.0, 1.0, 41)
    made = np.zeros((days, kinds, 2, 40))
    for day in range(days):
        drawn = rng.multinomial(rng.poisson(items), shares)
        for kind, n in enumerate(drawn):
            for category in range(2):
                scores = rng.beta(0.6 + 0.5 * kind, 3.0 - category, n)
                made[day, kind, category] = np.histogram(scores, edges)[0]
    return made


def _asked(then: NDArray[np.float64], now: NDArray[np.float64]) -> list[Any]:
    middles = (np.arange(40) + 0.5) / 40

    def scores(counts: NDArray[np.float64]) -> Scores:
        total, squares = float(counts @ middles), float(counts @ middles**2)
        return Scores(counts, total, squares, int(counts[20:].sum()))

    asked = []
    for category in range(2):
        for kind in (slice(None), 0, 1, 2):
            sides = (one[kind, category].reshape(-1, 40).sum(axis=0) for one in (then, now))
            about = About(ShiftKind.SCORES, str(category), "kind", str(kind))
            asked.append(
                score_shift(about, *(scores(one) for one in sides), least=RULE.least_items)
            )
    of_all = [int(one[:, 0].sum()) for one in (then, now)]
    for kind in range(3):
        some = [int(one[kind, 0].sum()) for one in (then, now)]
        about = About(ShiftKind.MIX, "", "kind", str(kind))
        pairs = zip(some, of_all, strict=True)
        asked.append(mix_shift(about, *pairs, least=RULE.least_items))
    return asked


# 2 · the log ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """The log as it is, with its gold beside it."""

    content: pd.DataFrame
    decisions: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Log:
        """Without what the log's own models were trained on."""
        body = json.loads((folder / CARD).read_text(encoding="utf-8"))
        seen = {one for each in body["versions"].values() for one in each["train_content_ids"]}
        content = pd.read_parquet(folder / CONTENT)
        decisions = pd.read_parquet(folder / DECISIONS)
        content = content[~content["content_id"].isin(seen)]
        return cls(content, decisions[decisions["content_id"].isin(set(content["content_id"]))])

    def without(self, surfaces: Sequence[str]) -> Log:
        return Log(
            self.content[~self.content["surface"].isin(surfaces)],
            self.decisions[~self.decisions["surface"].isin(surfaces)],
        )


def taken_in(engine: Engine, log: Log, folder: Path, policy: Policy, recipe: Recipe) -> None:
    """The log's content without gold, and its decisions, by the real intake."""
    folder.mkdir()
    columns = ["content_id", "text", "language", "surface", "created_at"]
    log.content[columns].to_parquet(folder / CONTENT, index=False)
    log.decisions.to_parquet(folder / DECISIONS, index=False)
    for name, kind in ((CONTENT, "content"), (DECISIONS, "decisions")):
        ingest_decisions(
            engine,
            source=str(folder / name),
            kind=kind,  # type: ignore[arg-type]
            recipe=recipe,
            categories=policy.category_ids,
        )


def answered(
    engine: Engine, items: pd.DataFrame, policy: Policy, recipe: Recipe, *, share: str, pool: int
) -> None:
    """A batch of these items, its gold as the reviewers' labels. What is not annotated is open."""
    with begin(engine) as tx:
        keep_policy(tx, policy)
        keep_recipe(tx, recipe)
        batch = {
            "batch_id": share, "policy_id": policy.policy_id, "recipe_id": recipe.recipe_id,
            "seed": 1, "plan": {}, "size_wanted": len(items), "training_pool_size": pool,
            "measuring_pool_size": pool,
        }  # fmt: skip
        tx.execute(insert(schema.batches).values(batch | {"read_at": text("clock_timestamp()")}))
        chance = len(items) / pool if share == AUDIT else None
        picks = [
            {"batch_id": share, "item_id": one, "share": share, "strategy": "random", "rank": rank,
             "inclusion_probability": chance}
            for rank, one in enumerate(items["content_id"])
        ]  # fmt: skip
        tx.execute(insert(schema.picks), picks)
        tx.execute(
            text(
                "INSERT INTO entries (item_id, batch_id, policy_id, votes_wanted) "
                "SELECT item_id, batch_id, :policy_id, 1 FROM picks WHERE batch_id = :batch_id"
            ),
            {"policy_id": policy.policy_id, "batch_id": share},
        )
        entries = dict(
            tx.execute(
                text("SELECT item_id, entry_id FROM entries WHERE batch_id = :b"), {"b": share}
            )
            .tuples()
            .all()
        )
        tx.execute(
            insert(schema.labels),
            [
                {"entry_id": entries[row["content_id"]], "item_id": row["content_id"],
                 "policy_id": policy.policy_id, "category": category, "revision": 1,
                 "value": bool(row[category]), "weight": 1.0, "votes_for": 1, "votes_total": 1,
                 "decided_by": "votes"}
                for row in items.to_dict("records")
                for category in policy.category_ids
                if pd.notna(row[category])
            ],
        )  # fmt: skip


def replayed(
    server: PostgresServer, name: str, log: Log, folder: Path, *, audit: float, embeddings: bool
) -> list[DriftReport]:
    """Every daily look at the log, from the first with a whole reference to its end."""
    policy, recipe = log_policy(), log_recipe()
    server.create_database(name)
    engine = connect(server.url(name))
    migrate(engine)
    taken_in(engine, log, folder / name, policy, recipe)
    rng = np.random.default_rng(20260106)
    audited = log.content[rng.random(len(log.content)) < audit]
    answered(engine, audited, policy, recipe, share=AUDIT, pool=len(log.content))
    if embeddings:
        _crown(engine, log, audited, folder / name, policy, recipe)
    reports = []
    for day in range(RULE.reference_days + RULE.window_days, DAYS + 1):
        end = START + timedelta(days=day)
        reports.append(
            watch_drift(
                engine, policy=policy, recipe=RULE, end=end,
                embeddings=None if embeddings else False,
            )
        )  # fmt: skip
    engine.dispose()
    return reports


def _crown(
    engine: Engine, log: Log, audited: pd.DataFrame, folder: Path, policy: Policy, recipe: Recipe
) -> None:
    """A champion of the first weeks, whose embeddings are compared."""
    early = log.content[log.content["created_at"] < START + timedelta(days=TRAINED_ON_DAYS)]
    early = early[~early["content_id"].isin(set(audited["content_id"]))]
    chosen = early.sample(600, random_state=1)
    answered(engine, chosen, policy, recipe, share="early", pool=len(early))
    frozen = freeze_snapshot(engine, policy=policy, recipe=recipe, folder=folder / "snapshots")
    train_challenger(
        engine, policy=policy, recipe=recipe, snapshot=frozen.path, models=folder / "models", seed=1
    )
    promote_champion(
        engine, policy=policy, recipe=recipe, cards=folder / "cards", seed=1,
        approved_by="benchmark", force=True, note="the only one",
    )  # fmt: skip


def _day(moment: datetime) -> int:
    return (moment - START).days


def onsets(console: Console, bars: Bars, log: Log, reports: list[DriftReport]) -> None:
    """For each planted drift the first alarm of each kind that begins after it."""
    begun: dict[int, Any] = {}
    for report in reports:
        for one in report.standing:
            begun.setdefault(one.alarm_id, one)
    table = Table(title="Planted drifts: the first alarm of each kind")
    for heading in ("drift", "kind", "what", "after days", "decisions", "of it", "statistic"):
        table.add_column(heading, justify="right" if heading[0] in "ado" else "left")
    until = {"pt": 90, "id": 120, "emoji": DAYS + 1}
    when = log.decisions["created_at"]
    for name, day, surface in DRIFTS:
        first: dict[str, Any] = {}
        for one in sorted(begun.values(), key=lambda one: (one.window_end, one.alarm_id)):
            if day < _day(one.window_end) <= until[name]:
                first.setdefault(one.kind, one)
        for kind in ("mix", "scores", "labels", "embeddings"):
            alarm = first.get(kind)
            if alarm is None:
                table.add_row(name, kind, "no new alarm", "-", "-", "-", "-")
                continue
            seen = (when >= START + timedelta(days=day)) & (when < alarm.window_end)
            of_it = int((seen & (log.decisions["surface"] == surface)).sum())
            table.add_row(
                name, kind, alarm.subject, str(_day(alarm.window_end) - day), f"{seen.sum():,}",
                f"{of_it:,}", f"{alarm.statistic:.3f}",
            )  # fmt: skip
        soonest = min((_day(one.window_end) - day for one in first.values()), default=DAYS)
        bars.hold(f"{name}: days until the first alarm", soonest, "at most", 7, "")
    console.print(table)
    early = [one for one in begun.values() if _day(one.window_end) <= DRIFTS[0][1]]
    console.print(f"before the first drift: {len(early)} alarms in {DRIFTS[0][1] - 34} looks")


def quiet(console: Console, bars: Bars, reports: list[DriftReport]) -> None:
    """Alarms where nothing was planted, by kind, and how near the nearest came."""
    begun = {one.alarm_id: one for report in reports for one in report.standing}
    asked: dict[str, int] = defaultdict(int)
    answers: dict[str, int] = defaultdict(int)
    sure: dict[str, int] = defaultdict(int)
    most: dict[str, tuple[float, str]] = {}
    for report in reports:
        for one in report.shifts:
            asked[one.about.kind] += 1
            if one.statistic is None or one.bar is None or one.p_value is None:
                continue
            answers[one.about.kind] += 1
            sure[one.about.kind] += one.p_value <= (one.level or 0.0)
            about = one.about
            near = one.statistic / one.bar, f"{about.category} {about.slice_value}".strip()
            most[one.about.kind] = max(most.get(one.about.kind, (0.0, "")), near)
    table = Table(title=f"The log without its drifts, {len(reports)} looks")
    for heading in ("kind", "asked", "answered", "no luck", "nearest to its bar", "alarms"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind in asked:
        alarms = [one for one in begun.values() if one.kind == kind]
        near, what = most.get(kind, (0.0, "-"))
        table.add_row(
            kind, f"{asked[kind]:,}", f"{answers[kind]:,}", f"{sure[kind]:,}",
            f"{near:.2f} ({what})", str(len(alarms)),
        )  # fmt: skip
    console.print(table)
    for one in begun.values():
        console.print(f"  day {_day(one.window_end)}: {one.subject}, {one.statistic:.3f}")
    bars.hold("alarms on the log without its drifts", len(begun), "at most", 0, "")


# 3 · labels -------------------------------------------------------------------------------------


def by_labels(console: Console, log: Log, *, audit: float) -> None:
    """Promises on `violation`, from what the first weeks' audit shows, watched in each stretch."""
    policy = log_policy()
    threshold = policy.category[policy.category_ids.index("violation")].threshold
    live = log.decisions[~log.decisions["is_rescore"]]
    rows = live.merge(
        log.content[["content_id", "violation"]].dropna(), on="content_id"
    ).sort_values(["created_at", "content_id"], kind="stable")
    rng = np.random.default_rng(20260107)
    rows = rows[rng.random(len(rows)) < audit]
    day = (rows["created_at"] - START).dt.days.to_numpy()
    flagged = (rows["score_violation"] >= threshold).to_numpy()
    violates = (rows["violation"] == 1).to_numpy()
    table = Table(title=f"Promises on `violation`, an audit of {audit:.0%}, watched by label")
    for heading in ("promise", "from", "kept then", "promised", "kept since", "alarm after labels",
                    "days", "all audit labels"):  # fmt: skip
        table.add_column(heading, justify="right")
    spans = (("none", 28, 45, 0), ("pt", 45, 90, 28), ("id", 90, 100, 62), ("emoji", 120, 180, 100))
    for name, of, keeps in (("precision", flagged, violates), ("recall", violates, flagged)):
        for drift, begins, ends, since in spans:
            before = of & (day >= since) & (day < min(begins, since + 28))
            after = of & (day >= begins) & (day < ends)
            kept, n = int((before & keeps).sum()), int(before.sum())
            promised = clopper_pearson(kept / n, n, confidence=0.9).low
            watch = watch_rate(keeps[after].astype(float), at_least=promised)
            at = watch.alarm_at
            days = "-" if at is None else str(int(day[after][at]) - begins)
            passed = "-"
            if at is not None:
                passed = f"{int(((day >= begins).cumsum())[np.flatnonzero(after)[at]]):,}"
            table.add_row(
                name, f"day {begins} ({drift})", f"{kept / n:.3f} of {n}", f"{promised:.3f}",
                f"{keeps[after].mean():.3f} of {after.sum()}",
                "no alarm" if at is None else f"{at + 1:,}", days, passed,
            )  # fmt: skip
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="the folder that holds `decisions`")
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--audit", type=float, default=0.1, help="share of items with labels")
    parser.add_argument("--no-log", dest="log", action="store_false")
    given = parser.parse_args()
    logs.configure(level="ERROR")
    console = Console(width=130)
    bars = Bars(console)
    if given.worlds:
        null(console, bars, worlds=given.worlds)
    root = data_root(given.data)
    if not given.log or root is None or not (root / "decisions").is_dir():
        console.print("no log: set HITL_SHARED_DATA or --data to the folder of the data sets")
        return max(bars.print(), 2 if given.log else 0)
    log = Log.read(root / "decisions")
    by_labels(console, log, audit=given.audit)
    with tempfile.TemporaryDirectory(prefix="hitl-drift-") as name:
        folder = Path(name)
        server = PostgresServer.start(folder / "postgres", settings={"fsync": "off"})
        try:
            began = time.perf_counter()
            reports = replayed(server, "log", log, folder, audit=given.audit, embeddings=True)
            took = time.perf_counter() - began
            console.print(f"{len(reports)} looks at {len(log.decisions):,} decisions: {took:.0f} s")
            onsets(console, bars, log, reports)
            still = log.without([surface for _, _, surface in DRIFTS])
            quiet(
                console, bars,
                replayed(server, "still", still, folder, audit=given.audit, embeddings=True),
            )  # fmt: skip
        finally:
            server.remove()
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
