"""`python -m benchmarks.drift`: when drift is alarmed, and how often there is an alarm without any.

- **null**: made-up traffic that never changes, watched daily for a year, in many worlds. Beside our
  rule stands the usual one: every test at 5 %, every day.
- **log**: a real decision log with three planted drifts (Portuguese from day 45 and Indonesian from
  day 90, each growing over weeks; posts with adversarial emoji from day 120), replayed day by day
  through `hitl drift` on a Postgres of its own. Without the three the same log has no drift.
- **labels**: a promise of precision or recall, certified on the first weeks' audit labels, watched
  label by label (`watch_rate`).

    python -m benchmarks.drift [--data FOLDER] [--worlds 50] [--audit 0.1] [--no-log]

Exit 1 if a bar is missed; without the log 2, after the null.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.drift_log import DAYS, START, Log, replayed
from benchmarks.drift_worlds import null
from benchmarks.sampler_report import Bars
from benchmarks.text_sets import data_root
from flows.demo.real_log import log_policy
from flows.watch_drift import DriftReport
from hitl import logs
from hitl.evaluation import clopper_pearson, watch_rate
from hitl.services.postgres import PostgresServer

DRIFTS = (("pt", 45, "pt_microblog"), ("id", 90, "id_microblog"), ("emoji", 120, "en_emoji_posts"))
DRAWS = 40


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


def by_labels(console: Console, log: Log, *, audit: float) -> None:
    """Promises on `violation`, from what an audit before shows, watched in each stretch after it.

    Over draws of the audit: the log is one, whom it asks is not.
    """
    policy = log_policy()
    threshold = policy.category[policy.category_ids.index("violation")].threshold
    live = log.decisions[~log.decisions["is_rescore"]]
    known = log.content[["content_id", "violation"]].dropna()
    every = live.merge(known, on="content_id").sort_values(["created_at", "content_id"])
    table = Table(
        title=f"Promises on `violation`, watched by label: {DRAWS} draws of an audit of {audit:.0%}"
    )
    for heading in ("promise", "days", "promised", "kept since", "labels", "alarmed",
                    "after labels", "after days", "of all audit labels"):  # fmt: skip
        table.add_column(heading, justify="right")
    # name, watched in [from, until), promised on what the same model decided in the 28 days before.
    spans = (("no drift", 28, 45, 0), ("pt", 45, 90, 17), ("id", 90, 100, 62),
             ("emoji", 120, 180, 100))  # fmt: skip
    for metric in ("precision", "recall"):
        for name, begins, ends, since in spans:
            seen = []
            for draw in range(DRAWS):
                rng = np.random.default_rng([20260107, draw])
                rows = every[rng.random(len(every)) < audit]
                day = (rows["created_at"] - START).dt.days.to_numpy()
                flagged = (rows["score_violation"] >= threshold).to_numpy()
                violates = (rows["violation"] == 1).to_numpy()
                of, keeps = (flagged, violates) if metric == "precision" else (violates, flagged)
                seen.append(_watched(of, keeps, day, begins=begins, ends=ends, since=since))
            found = np.array(seen)
            alarmed = ~np.isnan(found[:, 3])
            middle = np.median(found[:, :3], axis=0)
            after = [
                f"{np.median(found[alarmed, k]):,.0f}" if alarmed.any() else "-" for k in (3, 4, 5)
            ]
            table.add_row(
                metric, f"{begins}-{ends} ({name})", f"{middle[0]:.3f}", f"{middle[1]:.3f}",
                f"{middle[2]:,.0f}", f"{alarmed.mean():.0%}", *after,
            )  # fmt: skip
    console.print(table)


def _watched(
    of: NDArray[np.bool_],
    keeps: NDArray[np.bool_],
    day: NDArray[np.int64],
    *,
    begins: int,
    ends: int,
    since: int,
) -> tuple[float, ...]:
    """Promised, kept since, labels; the alarm after so many of them, days, and audit labels."""
    before = of & (day >= since) & (day < begins)
    after = of & (day >= begins) & (day < ends)
    n = int(before.sum())
    promised = clopper_pearson(float(keeps[before].mean()), n, confidence=0.9).low
    at = watch_rate(keeps[after].astype(float), at_least=promised).alarm_at
    told = (promised, float(keeps[after].mean()), float(after.sum()))
    if at is None:
        return (*told, np.nan, np.nan, np.nan)
    row = int(np.flatnonzero(after)[at])
    return (*told, at + 1.0, float(day[row] - begins), float((day[: row + 1] >= begins).sum()))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="the folder that holds `decisions`")
    parser.add_argument("--worlds", type=int, default=50)
    parser.add_argument("--audit", type=float, default=0.1, help="share of items with labels")
    parser.add_argument("--no-log", dest="log", action="store_false")
    given = parser.parse_args()
    logs.configure(level="ERROR")
    console = Console(width=130)
    bars = Bars(console)
    if given.worlds:
        null(console, bars, worlds=given.worlds)
    root = data_root(given.data)
    if not given.log:
        return bars.print()
    if root is None or not (root / "decisions").is_dir():
        console.print("no log: set HITL_SHARED_DATA or --data to the folder of the data sets")
        return bars.print() or 2
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
