"""`hitl demo`: the loop going round, on content of its own or on a decision log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import aside, show_json

app = typer.Typer()


@app.command()
def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="A folder with a decision log and its gold; else an invented stream."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=50)] = 5,
    labels: Annotated[
        int | None, typer.Option(min=20, max=5_000, help="A round; 120, or 200 with --data.")
    ] = None,
    reviewers: Annotated[int, typer.Option(min=2, max=20)] = 5,
    curve_seeds: Annotated[
        int, typer.Option(min=0, max=50, help="For the curve beside random; 0 leaves it out.")
    ] = 5,
    items: Annotated[
        int, typer.Option(min=500, max=200_000, help="Posts of the invented stream.")
    ] = 8_000,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; what people read goes to standard error.")
    ] = False,
) -> None:
    """Start everything and run the loop with simulated reviewers, then say where to look.

    It lives in a state folder of its own beside yours (.hitl-demo, or .hitl-log with --data), with
    the shipped policy and recipe: nothing of yours is touched. The servers stay up, so that you
    can label by hand; `hitl down` stops them. Ctrl-C during the demo stops everything. Run again,
    it goes on from where it was.

    Example: hitl demo --rounds 3 --labels 60
    """
    each = labels or (200 if data else 120)
    if data is None and rounds * each > items:
        raise typer.BadParameter(
            f"{rounds} rounds of {each:,} labels are more than {items:,} posts; ask for fewer with "
            f"--rounds or --labels, or give --items {rounds * each}",
            param_hint="--items",
        )
    from flows.demo.run import DemoFellShort, Wanted, play

    wanted = Wanted(
        data=data,
        rounds=rounds,
        labels=each,
        reviewers=reviewers,
        curve_seeds=curve_seeds,
        items=items,
    )
    with aside(as_json):
        outcome = play(wanted)
    if as_json:
        show_json(outcome)
    if outcome.faults:
        raise DemoFellShort(outcome.faults)
