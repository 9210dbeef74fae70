"""`hitl stress`: offered load on the whole loop, with bounds that a build can stand or fall by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import errors, say, show_json, show_table, stages
from hitl.settings import load_settings

if TYPE_CHECKING:
    from flows.stressing.report import StressReport

app = typer.Typer()


@app.command()
def stress(
    decisions_per_second: Annotated[
        float, typer.Option(min=1, help="Pushed over HTTP, in batches.")
    ] = 200.0,
    reviews_per_second: Annotated[
        float, typer.Option(min=0.1, help="Answered by invented reviewers under leases.")
    ] = 5.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long both are offered.")] = 30.0,
    rows: Annotated[int, typer.Option(min=1, max=10_000, help="Decisions in one push.")] = 100,
    select_every: Annotated[
        float, typer.Option(min=0.5, help="Seconds between two selections.")
    ] = 5.0,
    p99_ms: Annotated[
        float | None, typer.Option(min=0, help="Bound on p99 of push, claim, complete, review.")
    ] = None,
    drop_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Bound on the share of decisions dropped.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the invented content.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Push, select and review at an offered load, and show how long each stage took.

    In a database of its own, dropped afterwards: on the server that runs or is named, else on one
    that it starts. Latency counts from when work was due. Exit 1 past a bound, or if a row was
    lost or doubled.

    Example: hitl stress --decisions-per-second 500 --seconds 60 --p99-ms 2000
    """
    from flows.stress import Load
    from flows.stress import stress as run
    from flows.stressing.report import Bounds

    load = Load(decisions_per_second, reviews_per_second, seconds, rows, select_every, seed)
    with stages("preparing…") as show:
        report = run(load_settings(), load, Bounds(p99_ms, drop_rate), progress=show)
    if as_json:
        show_json(report)
    else:
        _show(report)
    for fault in (*report.broken, *report.missed):
        errors.print(f"[bold red]missed:[/bold red] {fault}", soft_wrap=True)
    if not report.is_good:
        raise typer.Exit(1)


def _show(report: StressReport) -> None:
    show_table(
        f"{report.seconds:.0f} seconds",
        ("stage", "times", "p50, ms", "p95, ms", "p99, ms", "worst, ms"),
        [
            (one.stage, one.count, one.p50_ms, one.p95_ms, one.p99_ms, one.worst_ms)
            for one in report.stages
        ],
    )
    say(
        f"decisions: {report.decisions_taken:,} of {report.decisions_offered:,} taken in, "
        f"{report.drop_rate:.3%} dropped, {report.refused:,} told to come again"
    )
    say(
        f"reviews: {report.reviews_done:,} of {report.reviews_offered:,} done, "
        f"{report.starved:,} found nothing; {report.picks:,} picks, {report.batches:,} batches"
    )
