"""Near copies from the command line: find them, and say how many there are."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import progress, say, show_json, show_report, show_table
from flows.wiring import open_world

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


@twins.command("offer")
def offer(as_json: AsJson = False) -> None:
    """Propose what was said of one near copy for the others. A selection does so by itself where
    the recipe says `offers_labels`. Safe to repeat.

    Example: hitl twins offer
    """
    from flows import steps

    with open_world() as world:
        report = steps.offer_labels(world)
    show_report("proposals", report, as_json=as_json)


@twins.command("stats")
def stats(as_json: AsJson = False) -> None:
    """How many clusters of near copies there are, how large, and how often what is proposed for
    them is wrong. Shows counts, never content.

    Example: hitl twins stats --json
    """
    from flows.offer_labels import twin_stats

    with open_world() as world:
        found = twin_stats(world.engine, policy=world.policy)
    if as_json:
        show_json(found)
        return
    lines = found.clusters
    show_table(
        "near copies",
        ("scheme", "items", "forms", "clusters", "of more than one", "largest"),
        [(x.scheme, x.items, x.forms, x.clusters, x.shared, x.largest) for x in lines],
    )
    show_report("proposals", found.offers, as_json=False)
    if found.offers.answered:
        for category, error in found.errors.items():
            say(f"  wrong in {category}: {error}")
