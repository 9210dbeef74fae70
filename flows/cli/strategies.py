"""`hitl strategies`: what a share of a batch may be chosen by."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import show_json, show_table

app = typer.Typer()


@app.command()
def strategies(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Every strategy that a recipe may name, and whether its picks can measure.

    Which to take: docs/sampling.md. What one is worth on your content: hitl replay.

    Example: hitl strategies --json
    """
    from sampling import DRAWS, STRATEGIES, in_a_sentence

    found = [
        {"strategy": name, "measures": name in DRAWS, "chooses": in_a_sentence(name)}
        for name in STRATEGIES
    ]
    if as_json:
        show_json(found)
        return
    show_table(
        "strategies",
        ("strategy", "can measure", "chooses"),
        [(one["strategy"], "yes" if one["measures"] else "", one["chooses"]) for one in found],
        caption="`distinct:` before a name takes near-duplicates out. Plans: docs/sampling.md",
    )
