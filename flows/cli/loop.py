"""The nine steps as commands. Each runs here and now, without a Prefect server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from flows.cli.models import approver, say_of_training, show_verdict
from flows.cli.output import progress, say, show_json, show_report
from flows.plain import plain
from flows.wiring import open_world

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Holds(StrEnum):
    """What a source holds."""

    DECISIONS = "decisions"
    CONTENT = "content"
    BOTH = "both"


class Interval(StrEnum):
    """Which kind of interval `hitl measure` shows."""

    DESCRIPTIVE = "descriptive"
    CERTIFIED = "certified"


class SliceName(StrEnum):
    """What `hitl measure --by` goes by."""

    SURFACE = "surface"
    LANGUAGE = "language"
    MARKET = "market"
    IDENTITY_TERM = "identity_term"


def _step(title: str, name: str, *, as_json: bool, **parameters: Any) -> Any:
    from flows import steps  # torch and the SDK with it: not for `hitl --help`

    with open_world() as world, progress(title, quiet=as_json) as tick:
        report = getattr(steps, name)(world, progress=tick, **parameters)
    return report


@app.command()
def ingest(
    source: Annotated[str, typer.Argument(help="File, folder, glob or URL; or sql+DATABASE_URL.")],
    kind: Annotated[
        Holds, typer.Option(help="What it holds; both in one by default.")
    ] = Holds.BOTH,
    query: Annotated[str | None, typer.Option(help="The SELECT, for a sql+ source.")] = None,
    as_json: AsJson = False,
) -> None:
    """Step 1: read decisions and content. Parquet, CSV, JSONL or a SQL query.

    Columns are mapped in the recipe. A row that cannot be read is set aside with its line and
    reason (`hitl rejects`); the rest goes on. So do files beside one that cannot be read; the
    command then exits 1. Safe to repeat.

    Example: hitl ingest 'exports/2026-11-*.parquet' --kind decisions
    """
    from flows.ingest_decisions import SomeSourcesRefused
    from hitl.decisions import shown

    given = {"source": source, "kind": kind.value, "query": query}
    try:
        report = _step("reading", "ingest_decisions", as_json=as_json, **given)
    except SomeSourcesRefused as refusal:
        # What was taken in is told first; the refusal itself lists the others.
        told = refusal.report if as_json else replace(refusal.report, refused_sources={})
        show_report(f"read {shown(source)}", told, as_json=as_json)
        raise
    show_report(f"read {shown(source)}", report, as_json=as_json)
    conflicting = report.contents.conflicts + report.decisions.conflicts
    if conflicting and not as_json:
        say("what stands under a known key was kept; `hitl conflicts` lists what differs")


@app.command()
def select(
    batch: Annotated[
        str | None, typer.Option(help="Batch id; repeating one gives back what it made.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many; else the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Else it follows from the batch id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Step 2: choose what reviewers should look at, and write down with which chance.

    Example: hitl select --limit 500
    """
    batch_id = batch or f"b-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    report = _step(
        "choosing", "select_batch", as_json=as_json, batch_id=batch_id, seed=seed, limit=limit
    )
    show_report("batch", report, as_json=as_json)


@app.command()
def dispatch(
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many tasks now.")] = None,
    replace_lost_project: Annotated[
        bool, typer.Option(help="Let projects go that Label Studio lost; make anew what is needed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Step 3: fill Label Studio's window with the most urgent entries.

    Example: hitl dispatch
    """
    report = _step(
        "sending",
        "dispatch_batch",
        as_json=as_json,
        limit=limit,
        replace_lost_project=replace_lost_project,
    )
    if as_json:
        show_json(report)
        return
    for stage, one in report.items():
        show_report(stage, one, as_json=False)


@app.command()
def collect(
    sweep: Annotated[
        bool | None, typer.Option(help="Look at every open task, whatever its date.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Step 4: bring reviewers' answers back and resolve them into labels.

    Example: hitl collect --sweep
    """
    report = _step("collecting", "collect_annotations", as_json=as_json, sweep=sweep)
    show_report("collected", report, as_json=as_json)


@app.command()
def freeze(as_json: AsJson = False) -> None:
    """Step 5: freeze the examples of now into a snapshot. The same labels give the same one.

    Example: hitl freeze
    """
    show_report("snapshot", _step("freezing", "freeze_snapshot", as_json=as_json), as_json=as_json)


@app.command()
def train(
    snapshot: Annotated[str | None, typer.Option(help="Snapshot id; else the newest.")] = None,
    seed: Annotated[int | None, typer.Option(help="Else the recipe's.")] = None,
    data_note: Annotated[
        str, typer.Option(help="Shown above all else on its card, such as that data was made up.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Step 6: train a challenger and evaluate it on the measuring side.

    Example: hitl train
    """
    report = _step(
        "training",
        "train_challenger",
        as_json=as_json,
        snapshot_id=snapshot,
        seed=seed,
        data_note=data_note,
    )
    show_report("challenger", report, as_json=as_json)
    if not as_json:
        say_of_training(report)


@app.command()
def shadow(as_json: AsJson = False) -> None:
    """Let the challenger decide beside the champion, on record only: the gate compares the two.

    Example: hitl shadow
    """
    show_report("ran along", _step("deciding", "shadow", as_json=as_json), as_json=as_json)


@app.command()
def gate(as_json: AsJson = False) -> None:
    """Judge the challenger against the champion on the same items; promotes nothing.

    Example: hitl gate
    """
    show_verdict(_step("judging", "gate", as_json=as_json), as_json=as_json)


@app.command()
def promote(
    force: Annotated[bool, typer.Option(help="Against the gate; needs --note.")] = False,
    note: Annotated[str, typer.Option(help="Why; kept with the promotion.")] = "",
    approved_by: Annotated[str | None, typer.Option(help="Who; else the login name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Step 7: judge the challenger and, if the gate agrees, make it champion. Exit 1 if refused.

    Example: hitl promote --approved-by ana
    """
    report = _step(
        "judging",
        "promote_champion",
        as_json=as_json,
        approved_by=approver(approved_by),
        force=force,
        note=note,
    )
    show_verdict(report, as_json=as_json)
    if not report.promoted:
        raise typer.Exit(1)


@app.command()
def rescore(as_json: AsJson = False) -> None:
    """Step 8: let the champion decide on what is open and on what is measured.

    Example: hitl rescore
    """
    show_report("rescored", _step("deciding", "rescore", as_json=as_json), as_json=as_json)


@app.command()
def measure(
    start: Annotated[datetime | None, typer.Option(help="UTC; else 28 days ago.")] = None,
    end: Annotated[datetime | None, typer.Option(help="UTC; else the coming midnight.")] = None,
    kind: Annotated[Interval, typer.Option(help="Which kind of interval.")] = Interval.DESCRIPTIVE,
    by: Annotated[SliceName | None, typer.Option(help="By the slices of this.")] = None,
    as_json: AsJson = False,
) -> None:
    """Step 9: what was decided, measured: every metric with its interval, or a code in its place.

    How much violates (by items and by views), precision, recall, F1, false positives and
    negatives, accuracy; for each category, with `--by` for each slice of it. docs/measurement.md
    says what each means, and when not to believe it.

    Example: hitl measure --start 2026-11-01 --end 2026-12-01 --kind certified --by language
    """
    report = _step(
        "measuring",
        "measure",
        as_json=as_json,
        start=start and start.replace(tzinfo=UTC),
        end=end and end.replace(tzinfo=UTC),
    )
    if as_json:
        by_model = {
            model_version: [one for one in found if one.kind == kind]
            for model_version, found in report.by_model.items()
        }
        show_json(plain(report) | {"by_model": by_model})
        return
    from flows.cli.figures import show_measured

    show_measured(report, kind=kind.value, by=by.value if by else "")
