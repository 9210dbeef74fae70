"""`hitl backlog …`: a fixed pile of content, and whether enough of what violates in it is found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import progress, say, show_json, show_table
from flows.plain import plain
from flows.wiring import open_world

if TYPE_CHECKING:
    from flows.backlog_status import BacklogStatus
    from flows.certify_backlog import CertifiedLook

app = typer.Typer()
backlog = typer.Typer(
    no_args_is_help=True, help="Whether enough of what violates in a backlog has been found."
)
app.add_typer(backlog, name="backlog")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="The backlog's name.")]
Day = Annotated[datetime | None, typer.Option(help="A moment, in UTC.")]


@backlog.command("open")
def backlog_open(
    name: Name,
    surface: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    lane: Annotated[str | None, typer.Option(help="A lane of the recipe.")] = None,
    since: Day = None,
    until: Day = None,
    category: Annotated[str, typer.Option(help="A category, or any violation.")] = "any",
    at_least: Annotated[float, typer.Option(help="The share that shall be found.")] = 0.9,
    confidence: Annotated[float, typer.Option(help="Over all looks together.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Fix a backlog: all content like this, as it is now. What comes later is not in it.

    `--since` and `--until` go by when the content came in. The rule stands: opened again by the
    same name and rule, it is the same backlog.

    Example: hitl backlog open june-comments --surface comments --since 2026-06-01 --at-least .9
    """
    from flows import steps
    from hitl.evaluation.backlogs import Rule

    rule = Rule(
        surfaces=tuple(sorted(set(surface or ()))),
        languages=tuple(sorted(set(language or ()))),
        lane=lane,
        since=_in_utc(since),
        until=_in_utc(until),
    )
    with open_world() as world, progress("opening", quiet=as_json) as tick:
        report = steps.open_backlog(
            world,
            backlog=name,
            category=category,
            at_least=at_least,
            confidence=confidence,
            rule=rule,
            progress=tick,
        )
    if as_json:
        show_json(report)
        return
    say(
        f"{report.name}: {report.items:,} items"
        f"{'' if report.is_new else f', since {report.opened_at:%Y-%m-%d %H:%M}'}; "
        f"{report.reviewed:,} of them are reviewed, {report.found:,} of these violate"
    )


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


@backlog.command("list")
def backlog_list(as_json: AsJson = False) -> None:
    """Every backlog and what its newest look showed.

    Example: hitl backlog list
    """
    from flows import steps

    with open_world() as world:
        found = steps.list_backlogs(world)
    if as_json:
        show_json([plain(one) | {"looks": plain(looks)} for one, looks in found])
        return
    show_table(
        "backlogs",
        ("name", "category", "items", "to find", "looks", "shown", ""),
        [
            (
                one.name,
                one.category,
                one.items,
                f"{one.at_least:.0%}",
                len(looks),
                _shown(looks[-1].recall_at_least) if looks else "-",
                _word(looks[-1].is_certified) if looks else "never looked at",
            )
            for one, looks in found
        ],
    )


def _shown(recall: float | None) -> str:
    # Rounded down: a certificate never claims more than was shown.
    return "-" if recall is None else f"{int(recall * 1000) / 10:.1f}%"


def _word(is_certified: bool | None) -> str:
    return {None: "open", True: "certified", False: "not certified"}[is_certified]


@backlog.command("status")
def backlog_status(name: Name, as_json: AsJson = False) -> None:
    """How much is reviewed and found, what models expect of the rest, and what a look would cost.

    Example: hitl backlog status june-comments
    """
    from flows import steps

    with open_world() as world, progress("counting", quiet=as_json) as tick:
        report = steps.backlog_status(world, backlog=name, progress=tick)
    if as_json:
        show_json(report)
        return
    _say_status(report)


def _say_status(report: BacklogStatus) -> None:
    say(
        f"{report.name}: {report.items:,} items, fixed {report.opened_at:%Y-%m-%d %H:%M} UTC. "
        f"To show: at least {report.at_least:.0%} of what violates ({report.category}) is found, "
        f"with {report.confidence:.0%} confidence"
    )
    say(
        f"reviewed {report.reviewed:,}, of these {report.found:,} violate; "
        f"{report.unreviewed:,} nobody has reviewed"
    )
    if report.forecast is None:
        say("no model has decided on what is left: there is no forecast")
    else:
        say(
            f"a forecast and no evidence: models expect about {report.forecast.violating:,.0f} of "
            "these to violate"
        )
    if report.seen_left is not None:
        say(f"were they as the last look saw its draw, about {report.seen_left:,.0f} would")
    if report.draw_needed is not None:
        say(
            f"were that right, a look would do with a draw of {report.draw_needed:,}, four times "
            "in five"
            + (f"; some {report.hours:,.1f} hours of review" if report.hours is not None else "")
        )
    if report.looks:
        show_table(
            "looks",
            ("look", "drawn", "of", "violating", "lost", "found", "missed at most", "shown", ""),
            [
                (
                    one.look,
                    one.drawn,
                    one.unreviewed,
                    one.violating_in_draw,
                    one.lost,
                    one.found,
                    one.missed_at_most,
                    _shown(one.recall_at_least),
                    _word(one.is_certified),
                )
                for one in report.looks
            ],
        )
    if report.draw is not None:
        told = [f"{count:,} {state}" for state, count in report.draw.items() if count]
        say(f"of the open draw: {', '.join(told) or 'nothing was left to draw'}")


@backlog.command("look")
def backlog_look(
    name: Name,
    draw: Annotated[int | None, typer.Option(min=1, max=100_000, help="How many.")] = None,
    seed: Annotated[int | None, typer.Option(help="By default from the name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw some of what nobody reviewed, evenly, and put them into the queue.

    Without `--draw`, as many as would do if models, and the last look, were right. While a look
    is open the same command goes on with it: it asks what could not be asked, and again what came
    back unanswered.
    Every look spends some of what all may err: draw well rather than often.

    Example: hitl backlog look june-comments --draw 400
    """
    from flows import steps

    with open_world() as world, progress("drawing", quiet=as_json) as tick:
        report = steps.look_at_backlog(world, backlog=name, draw=draw, seed=seed, progress=tick)
    if as_json:
        show_json(report)
        return
    say(
        f"{report.name}, look {report.look}{'' if report.is_new else ' goes on'}: "
        f"{report.drawn:,} drawn of {report.unreviewed:,} that nobody had reviewed; "
        f"{report.asked:,} asked now, {report.in_queue:,} in the queue in all, "
        f"{report.answered:,} answered"
        + (f", {report.blocked:,} open under another policy" if report.blocked else "")
        + (f", {report.lost:,} without an answer" if report.lost else "")
    )


@backlog.command("certify")
def backlog_certify(
    name: Name,
    close: Annotated[
        bool, typer.Option("--close", help="Though drawn items have no answer.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What the look shows, once every drawn item is answered. Written down once.

    A drawn item that came back without an answer counts as violating and missed.

    Example: hitl backlog certify june-comments
    """
    from flows import steps

    with open_world() as world, progress("certifying", quiet=as_json) as tick:
        report = steps.certify_backlog(world, backlog=name, close=close, progress=tick)
    if as_json:
        show_json(report)
        return
    for line in sentences(report):
        say(line)


def sentences(report: CertifiedLook) -> Sequence[str]:
    """What a look showed, in words."""
    look = report.result
    what = "what violates" if report.category == "any" else f"what violates {report.category}"
    share = _shown(look.recall_at_least)
    evidence = (
        f"{look.found or 0:,} found; of {look.unreviewed:,} that nobody had reviewed "
        f"{look.drawn:,} were drawn evenly and {look.violating_in_draw or 0:,} of these violate, "
        f"so at most {look.missed_at_most or 0:,} are still missed"
    )
    if look.lost:
        evidence += f". {look.lost:,} drawn items have no answer and count as missed"
    by = f"look {look.look}, {report.confidence:.0%} confidence over all looks"
    if look.is_certified:
        return (
            f"certified: at least {share} of {what} in {report.name} has been found ({by})",
            evidence,
        )
    lines = [
        f"not certified: this shows that {share} of {what} in {report.name} has been found, and "
        f"{report.at_least:.0%} is wanted ({by})",
        evidence,
    ]
    if report.to_find:
        lines.append(
            f"as this draw saw it, about {report.to_find:,} more that violate must be found before "
            f"{report.at_least:.0%} can be true: review the likeliest first"
        )
    if report.next_draw is not None:
        lines.append(
            f"if the rest is as this draw saw it, a next look would do with a draw of "
            f"{report.next_draw:,}"
        )
    return lines
