"""`hitl certify` and `hitl monitor`: what a model may decide alone, and whether it still may."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import progress, say, show_json, show_table
from flows.plain import plain
from flows.wiring import open_world

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def certify(as_json: AsJson = False) -> None:
    """Try the policy's obligations on audit labels: from which scores on may the model decide?

    What has a certificate is blocked or allowed by `hitl rescore` from then on; all else goes to
    review, as before. Where there is none, the table says what it takes. Asking again without new
    labels changes nothing; asking again with new ones costs a little of the confidence each time.

    Example: hitl certify
    """
    from flows import steps

    with open_world() as world, progress("certifying", quiet=as_json) as tick:
        report = steps.certify(world, progress=tick)
    if as_json:
        show_json(report)
        return
    if not report.found:
        say(
            "the policy promises nothing that could be certified; write an obligation to a "
            "category, such as obligation = { precision = 0.95, recall = 0.9 }"
        )
        return
    show_table(
        f"{report.model_version}, {report.labels:,} audit labels",
        ("category", "where", "allow below", "block from", "review", "labels", "attempt", ""),
        [
            (
                one.category,
                one.slice_value or "everywhere",
                "-" if one.allow_below is None else f"{one.allow_below:.4g}",
                "-" if one.block_from is None else f"{one.block_from:.4g}",
                f"{one.review_load:.0%}",
                one.labels,
                one.attempt,
                "" if one.is_new else "as before",
            )
            for one in report.found
        ],
    )
    for one in report.found:
        for words in one.missing:
            say(f"{one.category}{f' in {one.slice_value}' if one.slice_value else ''}: {words}")


@app.command()
def monitor(as_json: AsJson = False) -> None:
    """Withdraw certificates that audit labels since their issue speak against.

    May be run as often as you like: a promise that is kept is withdrawn once in 20 at most,
    however often anybody looks.

    Example: hitl monitor
    """
    from flows import steps

    with open_world() as world, progress("looking", quiet=as_json) as tick:
        report = steps.monitor(world, progress=tick)
    if as_json:
        show_json(plain(report) | {"withdrawn": report.withdrawn})
        return
    if not report.watched:
        say("no certificate stands; `hitl certify` tries for some")
        return
    show_table(
        f"{report.model_version}",
        ("category", "where", "promise", "labels since", "kept it", "evidence against", ""),
        [
            (
                one.category,
                one.slice_value or "everywhere",
                f"{one.metric} {one.at_least:g}",
                one.labels,
                one.kept,
                f"{one.evidence:.1f} of 20",
                "withdrawn" if one.is_withdrawn else "stands",
            )
            for one in report.watched
        ],
    )
