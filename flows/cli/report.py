"""`hitl report`: pages that people read, as Markdown and as HTML that needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import progress, say, show_json
from flows.plain import plain
from flows.reporting.pages import write
from flows.wiring import open_world

reports = typer.Typer(no_args_is_help=True, help="Pages that people read.")
app = typer.Typer()
app.add_typer(reports, name="report")

Start = Annotated[datetime | None, typer.Option(help="UTC; else 28 days ago.")]
End = Annotated[datetime | None, typer.Option(help="UTC; else the coming midnight.")]
Folder = Annotated[
    Path | None, typer.Option(help="Where to write it; else reports/ in the state folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead.")]


@reports.command()
def fairness(
    start: Start = None, end: End = None, folder: Folder = None, as_json: AsJson = False
) -> None:
    """Is content of some language, market or surface, or on some people, judged worse, and how sure
    is that?

    People: by the recipe's `measure.identity_terms`. Of the champion's decisions, by audit labels.
    Writes fairness.html, fairness.md and the picture.

    Example: hitl report fairness --start 2026-10-01
    """
    from flows import steps

    with open_world() as world, progress("comparing", quiet=as_json) as tick:
        report = steps.fairness_report(
            world,
            start=start and start.replace(tzinfo=UTC),
            end=end and end.replace(tzinfo=UTC),
            progress=tick,
        )
        if not as_json:
            target = folder or world.settings.state_folder / "reports"
            written = write(report.page, target, name="fairness")
    if as_json:
        told = plain(report)
        show_json({name: told[name] for name in ("model_version", "labels", "gaps")})
        return
    for block in report.page.blocks[:1]:
        say(getattr(block, "text", ""))
    say(f"written to {written}")


@reports.command()
def weekly(
    end: Annotated[
        datetime | None, typer.Option(help="UTC; the week before it. Else six days and today.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """A week of the loop on one page, beside the week before.

    What came in and was answered, what the decisions were worth, what may be decided without a
    person, how obligations stand against certificates, what the last 100 labels bought, and what
    changed. Writes weekly.html, weekly.md and the pictures.

    Example: hitl report weekly --end 2026-11-23
    """
    from flows import steps

    with open_world() as world, progress("measuring", quiet=as_json) as tick:
        report = steps.weekly_report(world, end=end and end.replace(tzinfo=UTC), progress=tick)
        if not as_json:
            target = folder or world.settings.state_folder / "reports"
            written = write(report.page, target, name="weekly")
    if as_json:
        told = plain(report)
        show_json({name: told[name] for name in told if name != "page"})
        return
    say(f"written to {written}")


@reports.command()
def model(
    version: Annotated[str | None, typer.Argument(help="Model version; else the champion.")] = None,
    end: End = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to write it; else reports/model/VERSION in the state folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One model on a page: is it honest, what do its thresholds buy, who approved it, and why.

    Reliability and precision-recall of every category with bands, figures by category and slice,
    the gate's verdict, certificates, and what it was trained on. Writes model.html, model.md and
    the pictures.

    Example: hitl report model
    """
    from flows import steps

    with open_world() as world, progress("drawing", quiet=as_json) as tick:
        report = steps.model_report(
            world, version=version, end=end and end.replace(tzinfo=UTC), progress=tick
        )
        if not as_json:
            target = folder or steps.model_folder(world, report.model_version)
            written = write(report.page, target, name="model")
    if as_json:
        told = plain(report)
        for one in told["pictured"]:
            del one["pictures"]
        show_json({name: told[name] for name in told if name != "page"})
        return
    say(f"written to {written}")
