"""`hitl demo`: the loop once round, on content of its own or on a decision log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    items: Annotated[int, typer.Option(min=500, help="Posts of the invented stream.")] = 8_000,
) -> None:
    """Start everything and run the loop with simulated reviewers, then say where to look.

    The servers stay up, so that you can label by hand; `hitl down` stops them. Ctrl-C during the
    demo stops everything. Run again, it goes on from where it was.

    Example: hitl demo --rounds 3 --labels 60
    """
    from flows.demo.run import Wanted, play

    play(
        Wanted(
            data=data,
            rounds=rounds,
            labels=labels or (200 if data else 120),
            reviewers=reviewers,
            curve_seeds=curve_seeds,
            items=items,
        )
    )
