"""What a training and a verdict come to, in words; the way back; and model cards."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Any

import typer

from flows.cli.output import progress, say, show_json, show_table
from flows.plain import plain
from flows.wiring import open_world
from hitl.db import begin
from hitl.errors import Refused
from hitl.records import ModelVersion

app = typer.Typer()
report = typer.Typer(no_args_is_help=True, help="Reports made from what the database holds.")
app.add_typer(report, name="report")


class NoLoginName(Refused):
    """The system does not know who runs this command."""

    def __init__(self) -> None:
        super().__init__("this user has no login name here: say who you are with --approved-by")


def approver(given: str | None) -> str:
    """Who takes a change of champion on themselves: as given, or the login name."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError) as unknown:  # a user id without an entry, as in containers
        raise NoLoginName from unknown


@app.command()
def rollback(
    note: Annotated[str, typer.Option(help="Why; kept with the rollback.")],
    leaving: Annotated[
        str | None, typer.Option(help="The version to leave; else the champion.")
    ] = None,
    rescore: Annotated[
        bool, typer.Option(help="Let it decide at once on what is open and measured.")
    ] = True,
    approved_by: Annotated[str | None, typer.Option(help="Who; else the login name.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bring back the champion before this one, with its calibration and its certified thresholds.

    It then decides again on what is open, as `hitl rescore` does (--no-rescore leaves that). A
    second rollback right after one is refused unless --leaving names the champion, so that a
    command typed twice goes back once.

    Example: hitl rollback --note "false alarms on reports since Tuesday"
    """
    from flows import steps
    from flows.rollback import rollback as go_back

    with open_world() as world, progress("deciding", quiet=as_json) as tick:
        found = go_back(
            world.engine,
            policy=world.policy,
            cards=world.settings.state_folder / "cards",
            approved_by=approver(approved_by),
            note=note,
            leaving=ModelVersion(leaving) if leaving else None,
        )
        # Told before it decides: whatever becomes of that, the champion is another one.
        if as_json:
            show_json(found)
        else:
            say(f"champion is {found.champion} again, and {found.left} is not")
        if rescore:
            decided = steps.rescore(world, progress=tick)
            if not as_json:
                say(f"it decided on {decided.items:,} items, by certificates of its own")


@app.command()
def verdicts(
    version: Annotated[str | None, typer.Argument(help="Of this challenger; else of all.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="List so many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What the gate said, newest first, and who acted on it; with --json, all numbers.

    Example: hitl verdicts --limit 5
    """
    from hitl import registry

    with open_world() as world, begin(world.engine) as tx:
        found = registry.list_judgements(
            tx,
            world.policy.name,
            challenger=ModelVersion(version) if version else None,
            limit=limit,
        )
    if as_json:
        show_json([plain(one) | {"is_forced": one.is_forced} for one in found])
        return
    show_table(
        "verdicts",
        ("", "judged", "challenger", "beside", "verdict", "decided by", "approved by", "note"),
        [
            (
                one.verdict.verdict_id,
                one.judged_at,
                one.verdict.challenger,
                one.verdict.champion or "none",
                one.verdict.decision,
                one.verdict.reasons[0]["words"] if one.verdict.reasons else None,
                one.approved_by,
                f"forced: {one.note}" if one.is_forced else one.note,
            )
            for one in found
        ],
    )


@report.command("card")
def report_card(
    version: Annotated[str | None, typer.Argument(help="Model version; else the champion.")] = None,
) -> None:
    """A model's card, from what is stored now: what it is for, learned from, and worth. Markdown.

    Example: hitl report card > card.md
    """
    from hitl import registry

    with open_world() as world, begin(world.engine) as tx:
        if version is None:
            champion = registry.champion(tx, world.policy.name)
            if champion is None:
                raise Refused(
                    f"policy {world.policy.name} has no champion; name a version of `hitl models`"
                )
            version = champion.model_version
        card = registry.read_card(tx, ModelVersion(version))
    sys.stdout.write(card)


def say_of_training(found: Any) -> None:
    """What a person should know of a training before they go on."""
    if found.constant_categories:
        say(
            f"{', '.join(found.constant_categories)}: every training answer is the same, so the "
            "model says one number of any text; label some of the other kind"
        )
    if found.pooled_categories:
        say(
            f"{', '.join(found.pooled_categories)}: too few answers of one kind to be calibrated "
            "alone; calibrated together with the others"
        )
    if not found.awaits_promotion:
        say(
            f"{found.model_version} is {found.state}, trained before, and no challenger that "
            "`hitl promote` would judge; label more, or train with another --seed"
        )


def show_verdict(found: Any, *, as_json: bool) -> None:
    """The verdict, what decided first, and whether there is a new champion."""
    if as_json:
        show_json(found)
        return
    before = found.champion_before or "none"
    say(f"{found.model_version} against {before}: {found.decision}")
    slices = [one.outcome == "noted" and bool(one.slice_name) for one in found.numbers]
    for reason, is_aside in zip(found.reasons, slices, strict=True):
        if not is_aside:
            say(f"  {reason}")
    if any(slices):
        say(f"  noted: {sum(slices)} more of languages and surfaces; --json has them")
    if found.verdict_id is not None:
        say(f"kept as verdict {found.verdict_id}; `hitl verdicts --json` has its numbers")
    if found.promoted:
        say(f"{found.model_version} is champion, approved by {found.approved_by}")
