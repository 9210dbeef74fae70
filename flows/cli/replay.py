"""`hitl replay`: which plan learns fastest on your own labelled content, and whether any does."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import progress, say, show_json, show_table

app = typer.Typer()


class HeadName(StrEnum):
    """Which small model learns."""

    BALANCED = "balanced"
    LOGREG = "logreg"


@app.command()
def replay(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="Labelled items: Parquet, CSV, TSV, JSON Lines.")
    ],
    label: Annotated[
        list[str], typer.Option(help="A column of 0/1; repeat it. Or one column of classes.")
    ],
    text: Annotated[str | None, typer.Option(help="The column of texts; else text.")] = None,
    embedding: Annotated[
        str | None, typer.Option(help="A column of vectors, in place of the texts' own.")
    ] = None,
    seconds: Annotated[
        str | None, typer.Option(help="A column of what a review took; else from the words.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="A column that copies share; else letters are compared.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="A column of train and test; else one named split.")
    ] = None,
    hold_out: Annotated[
        bool, typer.Option("--hold-out", help="A third by chance, split column or not.")
    ] = False,
    positive: Annotated[
        list[str] | None, typer.Option(help="Of a column of classes, one to count; repeat it.")
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="One to replay; repeat it. Else margin and the default plan."),
    ] = None,
    plan: Annotated[
        list[Path] | None, typer.Option(help="A recipe whose batches to replay; repeat it.")
    ] = None,
    audits_measure: Annotated[
        bool, typer.Option("--audits-measure", help="A recipe's random labels do not train.")
    ] = False,
    against: Annotated[str, typer.Option(help="What the others are compared with.")] = "random",
    head: Annotated[
        HeadName, typer.Option(help="balanced: both answers weigh the same; logreg: all rows do.")
    ] = HeadName.BALANCED,
    target: Annotated[
        float | None, typer.Option(help="A score to reach; else the one --against ends at.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=200, help="How often, paired.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 1,
    start: Annotated[int, typer.Option(min=2, max=20_000, help="Labels to begin with.")] = 50,
    start_of_each: Annotated[
        int, typer.Option(min=1, max=100, help="Of them so many of each answer, at least.")
    ] = 3,
    batch: Annotated[int, typer.Option(min=1, max=20_000, help="Labels a round.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, max=200)] = 10,
    candidates: Annotated[
        int, typer.Option(min=10, max=200_000, help="Each seed offers at most so many items.")
    ] = 6_000,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes at a time.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="A folder for replay.json and the pictures.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play labelled content again with any plans and say which learns fastest, or that none does.

    Every plan starts from the same labels and meets the same seeds. Needs no database and changes
    nothing. docs/replay.md says how to read it.

    Example: hitl replay items.parquet --label toxic --label hate --strategy margin --out found
    """
    from flows.replay_strategies import Wanted, replay_strategies
    from flows.replaying import report
    from flows.replaying.heads import Head
    from flows.replaying.labelled import Columns
    from flows.replaying.results import ready, write
    from hitl.recipe import load_recipe

    wanted = Wanted(
        source=source,
        columns=Columns(
            labels=tuple(label),
            text=text,
            embedding=embedding,
            seconds=seconds,
            group=group,
            split=split,
        ),
        strategies=tuple(strategy or ()),
        recipes=tuple(load_recipe(path) for path in plan or ()),
        audits_measure=audits_measure,
        against=against,
        head=Head(head.value),
        seeds=seeds,
        first_seed=seed,
        start=start,
        start_of_each=start_of_each,
        batch=batch,
        rounds=rounds,
        candidates=candidates,
        target=target,
        positive=tuple(positive or ()),
        hold_out=hold_out,
        jobs=jobs,
    )
    if out is not None:
        ready(out)
    with progress("replaying", quiet=as_json) as tick:
        found = replay_strategies(wanted, on_step=tick)
    written = [] if out is None else write(found, out)
    if as_json:
        show_json(report.as_json(found))
        return
    show_table(report.title(found), report.TABLE, report.rows(found), caption=report.notes(found))
    for line in report.verdicts(found):
        say(line)
    for one in written:
        say(f"{'replaced' if one.is_replaced else 'wrote'} {one.path}")
