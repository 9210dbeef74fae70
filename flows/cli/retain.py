"""`hitl retain`: what is older than the recipe keeps goes."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import progress, show_report
from flows.wiring import open_world

app = typer.Typer()


@app.command()
def retain(
    dry_run: Annotated[bool, typer.Option(help="Count what would go, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Drop decisions older than the recipe keeps, and content that nobody was asked about.

    What was picked for review stays, with every decision on it. What goes cannot be brought back:
    look with --dry-run first.

    Example: hitl retain --dry-run
    """
    from flows import steps

    with open_world() as world, progress("looking" if dry_run else "dropping", quiet=as_json) as t:
        report = steps.retain(world, dry_run=dry_run, progress=t)
    show_report("would go" if dry_run else "gone", report, as_json=as_json)
