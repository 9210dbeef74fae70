"""`hitl report`: pages that people read, as Markdown and as HTML that needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import progress, say, show_json
from flows.plain import plain
from flows.wiring import open_world

if TYPE_CHECKING:
    from hitl.reports import Page

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
        datetime | None, typer.Option(help="UTC; the week before it. Else before last midnight.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """A week of the loop on one page, beside the week before.

    What came in and was answered, what the decisions were worth, what may be decided without a
    person, and what changed. Writes weekly.html, weekly.md and the picture.

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


def write(page: Page, folder: Path, *, name: str) -> Path:
    """The page and its pictures; the HTML's path."""
    from hitl.reports import as_html, as_markdown

    folder.mkdir(parents=True, exist_ok=True)
    for picture in page.pictures:
        (folder / f"{picture.name}.svg").write_text(picture.svg, encoding="utf-8")
    (folder / f"{name}.md").write_text(as_markdown(page), encoding="utf-8")
    target = folder / f"{name}.html"
    target.write_text(as_html(page), encoding="utf-8")
    return target
