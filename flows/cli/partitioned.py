"""`hitl select-shards`: a batch from more candidates than one machine holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.output import progress, show_report

app = typer.Typer()


@app.command()
def select_shards(
    place: Annotated[str, typer.Argument(help="Folder, glob or URL of Parquet files or arrays.")],
    out: Annotated[str, typer.Option(help="Where the picks go: a Parquet file, path or URL.")],
    limit: Annotated[int, typer.Option(min=1, help="How many.")],
    seed: Annotated[int, typer.Option(min=0, help="The same one draws the same.")] = 0,
    ids: Annotated[str, typer.Option(help="Column, or array beside it.")] = "item_id",
    probabilities: Annotated[
        list[str] | None, typer.Option(help="A column of lists, or an array; or repeat it.")
    ] = None,
    embeddings: Annotated[
        str | None, typer.Option(help="A column of lists, or an array: '{name}.npy'.")
    ] = None,
    groups: Annotated[str | None, typer.Option(help="A column that copies share.")] = None,
    slices: Annotated[str | None, typer.Option(help="A column of what is measured apart.")] = None,
    seconds: Annotated[str | None, typer.Option(help="A column of what a review takes.")] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(help="NAME=STRATEGY:FRACTION; repeat it. Else the default plan."),
    ] = None,
    exclusive: Annotated[
        bool, typer.Option("--exclusive", help="Categories exclude each other.")
    ] = False,
    labelled: Annotated[
        str | None, typer.Option(help="A Parquet file of what is labelled, with embeddings.")
    ] = None,
    work: Annotated[Path | None, typer.Option(help="A folder to go on from after a crash.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler: tcp://host:8786. Else this process.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="For matrix products.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose a batch from shards on any store, and write the picks with their chances to a file.

    Needs no database. Memory does not grow with the candidates. docs/scale.md says what it costs.

    Example: hitl select-shards s3://pool/ --embeddings vector --limit 500 --out b1.parquet
    """
    from flows.select_partitioned import Wanted, client_of, select_partitioned

    columns: dict[str, Any] = {
        "ids": ids,
        "embeddings": embeddings,
        "groups": groups,
        "slices": slices,
        "seconds": seconds,
    }
    if probabilities:
        columns["probabilities"] = (
            probabilities[0] if len(probabilities) == 1 else tuple(probabilities)
        )
    wanted = Wanted(
        place=place,
        out=out,
        limit=limit,
        seed=seed,
        columns=columns,
        shares=tuple(_share(one) for one in share or ()),
        exclusive=exclusive,
        labelled=labelled,
        work=work,
        threads=threads,
    )
    with client_of(scheduler) as client, progress("choosing", quiet=as_json) as tick:
        report = select_partitioned(
            wanted, client=client, on_step=lambda answers: tick(answers, None)
        )
    show_report("picks", report, as_json=as_json)


def _share(said: str) -> Any:
    from sampling import Share

    name, there, rest = said.partition("=")
    strategy, colon, fraction = rest.rpartition(":")
    try:
        if there and colon and strategy:
            return Share(name, strategy, float(fraction))
    except ValueError:
        pass
    raise typer.BadParameter(f"{said!r}: write NAME=STRATEGY:FRACTION, such as audit=random:0.1")
