"""`hitl drift`, `hitl alarms` and `hitl retrain`: what has moved, and what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from flows.cli.models import approver
from flows.cli.output import progress, say, show_json, show_table
from flows.wiring import open_world
from hitl.db import begin

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def drift(
    end: Annotated[
        datetime | None, typer.Option(help="The UTC day before which the window ends; else today.")
    ] = None,
    embeddings: Annotated[
        bool | None, typer.Option(help="Compare embeddings too, or not; else weekly.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare what came in lately with what came before: scores, kinds of items, violations.

    May be run as often as you like: the same window again changes nothing. Where nothing has
    changed, a false alarm comes in a year of daily looks with a chance of 5 % (`drift.alpha`).

    Example: hitl drift --embeddings
    """
    from flows import steps

    if end is not None and end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    with open_world() as world, progress("comparing", quiet=as_json) as tick:
        report = steps.watch_drift(world, end=end, embeddings=embeddings, progress=tick)
    if as_json:
        show_json(report)
        return
    before, since = report.decisions
    say(
        f"{since:,} decisions from {report.middle:%Y-%m-%d} to {report.end:%Y-%m-%d}, beside "
        f"{before:,} since {report.start:%Y-%m-%d}"
        + ("" if report.drawn == 1.0 else f"; {report.drawn:.1%} of the items were counted")
    )
    said = [one for one in report.shifts if one.code is None]
    most = sorted(said, key=lambda one: (not one.is_alarm, one.p_value or 0.0))[:15]
    show_table(
        f"{len(said)} of {len(report.shifts)} questions could be answered; the most telling",
        ("what", "category", "where", "statistic", "bar", "effect", "luck", ""),
        [
            (
                one.about.kind.value,
                one.about.category or "-",
                f"{one.about.slice_name} {one.about.slice_value}".strip() or "everywhere",
                one.statistic,
                one.bar,
                _with_width(one.effect, one.low, one.high),
                f"{one.p_value:.1e}",
                "alarm" if one.is_alarm else "",
            )
            for one in most
        ],
    )
    say(f"{report.raised} raised, {report.ended} ended, {len(report.standing)} stand")


@app.command()
def alarms(
    acknowledge: Annotated[
        int | None, typer.Option(help="Take note of this one: it trains no model any more.")
    ] = None,
    note: Annotated[str, typer.Option(help="Why; kept with it.")] = "",
    by: Annotated[str | None, typer.Option(help="Who; else the login name.")] = None,
    ended: Annotated[bool, typer.Option(help="Also those that have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Alarms that stand: drift, and certificates that were withdrawn.

    Example: hitl alarms --acknowledge 12 --note "the new surface was announced"
    """
    from hitl.evaluation.alarms import store

    with open_world() as world, begin(world.engine) as tx:
        if acknowledge is not None:
            store.acknowledge(tx, acknowledge, by=approver(by), note=note)
        rows = store.list_alarms(tx, policy=world.policy, ended=ended)
    if as_json:
        show_json(rows)
        return
    if not rows:
        say("no alarm stands")
        return
    show_table(
        f"alarms of {world.policy.policy_id}",
        ("alarm", "what", "statistic", "bar", "effect", "since", "windows", ""),
        [
            (
                one.alarm_id,
                one.subject,
                one.statistic,
                one.bar,
                _with_width(one.effect, one.effect_low, one.effect_high),
                f"{one.window_end:%Y-%m-%d}",
                one.windows,
                one.ended_why or (one.acknowledged_by and f"noted by {one.acknowledged_by}") or "",
            )
            for one in rows
        ],
    )


@app.command()
def retrain(as_json: AsJson = False) -> None:
    """Is it time to train anew? The decision is kept with its reasons; nothing is trained by it.

    Where flows are deployed, a yes freezes a snapshot and trains on it. By hand: `hitl freeze`,
    `hitl train`, `hitl promote`.

    Example: hitl retrain
    """
    from flows import steps

    with open_world() as world, progress("deciding", quiet=as_json) as tick:
        report = steps.decide_retrain(world, progress=tick)
    if as_json:
        show_json(report)
        return
    show_table(
        f"{'train' if report.retrain else 'wait'}, decided {report.decided_at:%Y-%m-%d %H:%M} UTC",
        ("rule", "", "why"),
        [(one.rule.value, "yes" if one.fired else "-", one.words) for one in report.reasons],
    )


def _with_width(effect: float | None, low: float | None, high: float | None) -> str:
    if effect is None:
        return "-"
    told = f"{effect:+.3f}"
    return told if low is None or high is None else f"{told} ({low:+.3f} to {high:+.3f})"
