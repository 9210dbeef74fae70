"""Near copies from the command line: find them, and say how many there are."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import progress, show_json, show_report, show_table
from flows.wiring import open_world
from hitl.db import begin

app = typer.Typer()
twins = typer.Typer(no_args_is_help=True, help="Near copies: one is reviewed for all.")
app.add_typer(twins, name="twins")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@twins.command("link")
def link(as_json: AsJson = False) -> None:
    """Find the near copies of what came in since. A selection does so by itself.

    Safe to repeat, and to run beside another.

    Example: hitl twins link
    """
    from flows import steps

    with open_world() as world, progress("link", quiet=as_json) as tick:
        report = steps.link_twins(world, progress=tick)
    show_report("near copies", report, as_json=as_json)


@twins.command("stats")
def stats(as_json: AsJson = False) -> None:
    """How many clusters of near copies there are, and how large. Shows counts, never content.

    Example: hitl twins stats --json
    """
    from hitl import twins as room

    with open_world() as world, begin(world.engine) as tx:
        lines = room.scheme_lines(tx)
    if as_json:
        show_json(lines)
        return
    show_table(
        "near copies",
        ("scheme", "items", "forms", "clusters", "of more than one", "largest"),
        [(x.scheme, x.items, x.forms, x.clusters, x.shared, x.largest) for x in lines],
    )
