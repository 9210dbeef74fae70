"""`hitl certify`, `monitor`, `forecast`: what may be decided alone, and what more it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import progress, say, show_json, show_table
from flows.plain import plain
from flows.wiring import open_world

if TYPE_CHECKING:
    from flows.forecast import Expected

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
        (
            "category",
            "where",
            "allow below",
            "block from",
            "review",
            "labels",
            "of flagged",
            "attempt",
            "",
        ),
        [
            (
                one.category,
                one.slice_value or "everywhere",
                "-" if one.allow_below is None else f"{one.allow_below:.4g}",
                "-" if one.block_from is None else f"{one.block_from:.4g}",
                f"{one.review_load:.0%}",
                one.labels,
                "-" if one.flagged is None else one.flagged,
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


@app.command()
def forecast(
    within: Annotated[
        float, typer.Option(min=0.001, max=0.499, help="Half width of the interval.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    as_json: AsJson = False,
) -> None:
    """How many more audit labels until what is promised is known closely enough, and by when?

    Of the champion's decisions, for each metric that the policy promises; for all categories where
    it promises nothing. Each answer comes with a range that holds in eight cases of ten, if labels
    go on coming as in the last four weeks.

    Example: hitl forecast --within 0.03
    """
    from flows import steps

    with open_world() as world, progress("looking ahead", quiet=as_json) as tick:
        report = steps.forecast(world, within=within, seed=seed, progress=tick)
    if as_json:
        show_json(report)
        return
    show_table(
        f"{report.model_version}, {report.labels:,} audit labels, "
        f"{report.labels_a_day:.1f} a day; wanted ±{report.within:g}",
        ("category", "where", "metric", "now", "more labels", "in 8 of 10 cases", "hours", "by"),
        [
            (
                one.category,
                one.slice_value or "everywhere",
                one.metric,
                one.code
                if one.value is None or one.half_width is None
                else f"{one.value:.3f} ±{one.half_width:.3f}",
                _or_dash(one.more, one.code, "{:,}"),
                "-" if one.low is None else f"{one.low:,} to {_or_more(one.high)}",
                _or_dash(one.hours, None, "{:.1f}"),
                _days(one),
            )
            for one in report.expected
        ],
    )
    if any(one.code == "too_few_events" for one in report.expected):
        say(
            "too_few_events: fewer than ten labels on one side of the metric, so nothing can be "
            "told of it yet"
        )
    if not report.labels_a_day:
        say("no audit label came in the last four weeks, so no day can be told")


def _or_dash(value: float | None, code: str | None, form: str) -> str:
    if value is None:
        return "too far" if code == "too_far" else "-"
    return form.format(value)


def _or_more(value: int | None) -> str:
    return "more than can be told" if value is None else f"{value:,}"


def _days(one: Expected) -> str:
    if one.on is None:
        return "-"
    latest = "later than can be told" if one.latest is None else f"{one.latest}"
    return f"{one.on} ({one.earliest} to {latest})"
