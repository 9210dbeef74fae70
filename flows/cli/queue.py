"""`hitl queue …`: what waits, who may take it, and how to free what is stuck."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import say, show_json, show_report, show_table
from flows.wiring import open_world
from hitl.db import begin
from hitl.records import EntryId, EntryState, PolicyId

if TYPE_CHECKING:
    from hitl.queue import HolderLine, LaneLine, QueueLine

app = typer.Typer()
queue = typer.Typer(no_args_is_help=True, help="Look at the queue, and free what is stuck.")
app.add_typer(queue, name="queue")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Entries = Annotated[list[int], typer.Argument(help="Entry ids.")]


class By(StrEnum):
    """What figures are told by."""

    STATE = "state"
    LANE = "lane"
    REVIEWER = "reviewer"


@queue.command("stats")
def queue_stats(
    by: Annotated[By, typer.Option(help="What to count by.")] = By.STATE, as_json: AsJson = False
) -> None:
    """How many entries are in which state or lane, how old they are, what is overdue, who skips.

    Example: hitl queue stats --by lane
    """
    from hitl import queue as room

    with open_world() as world, begin(world.engine) as tx:
        if by is By.LANE:
            _show_lanes(room.lane_lines(tx), as_json=as_json)
        elif by is By.REVIEWER:
            _show_holders(room.holder_lines(tx), world.recipe.queue.skips_per_day, as_json=as_json)
        else:
            _show_states(room.queue_lines(tx), as_json=as_json)


def _show_states(lines: list[QueueLine], *, as_json: bool) -> None:
    if as_json:
        show_json(lines)
        return
    show_table(
        "queue",
        ("policy", "state", "entries", "median age, s", "p90, s", "oldest, s"),
        [
            (
                x.policy_id,
                x.state,
                x.entries,
                x.median_age_seconds,
                x.p90_age_seconds,
                x.oldest_age_seconds,
            )
            for x in lines
        ],
    )


def _show_lanes(lines: list[LaneLine], *, as_json: bool) -> None:
    if as_json:
        show_json(lines)
        return
    show_table(
        "lanes",
        ("policy", "lane", "tier", "state", "entries", "overdue", "median age, s", "p90, s",
         "p99, s", "oldest, s"),
        [
            (x.policy_id, x.lane, x.tier, x.state, x.entries, x.overdue, x.median_age_seconds,
             x.p90_age_seconds, x.p99_age_seconds, x.oldest_age_seconds)
            for x in lines
        ],
    )  # fmt: skip


def _show_holders(lines: list[HolderLine], cap: int, *, as_json: bool) -> None:
    if as_json:
        show_json(lines)
        return
    show_table(
        f"who took what, by tools that pull work; {cap} skips a day at most",
        ("reviewer", "day", "claimed", "skipped"),
        [(x.holder, x.day.date().isoformat(), x.claimed, x.skipped) for x in lines],
    )


@queue.command("list")
def queue_list(
    state: Annotated[list[EntryState] | None, typer.Option(help="May be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Entries, most urgent first. Shows ids, never content.

    Example: hitl queue list --state dead
    """
    from hitl import queue as room

    wanted = state or [EntryState.WAITING, EntryState.DISPATCHED, EntryState.ADJUDICATING]
    with open_world() as world, begin(world.engine) as tx:
        rows = room.list_entries(tx, states=wanted, limit=limit)
    if as_json:
        show_json(rows)
        return
    show_table(
        "entries",
        ("entry", "item", "batch", "state", "lane", "tier", "priority", "opened", "due", "reason"),
        [
            (r.entry_id, r.item_id, r.batch_id, r.state, r.lane, r.tier, r.priority, r.opened_at,
             r.due_at, r.reason)
            for r in rows
        ],
    )  # fmt: skip


@queue.command("requeue")
def queue_requeue(
    entry: Annotated[list[int] | None, typer.Argument(help="Entry ids.")] = None,
    reason: Annotated[str | None, typer.Option(help="All dead ones of this reason.")] = None,
    lane: Annotated[str | None, typer.Option(help="All dead ones of this lane.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put dead entries back into the queue: by id, or all of a reason or a lane or of both.

    Example: hitl queue requeue --reason "Label Studio refused the task"
    """
    from hitl import queue as room

    if bool(entry) == bool(reason or lane):
        raise typer.BadParameter("name entries, or --reason or --lane, and not both")
    with open_world() as world, begin(world.engine) as tx:
        if entry:
            count = room.requeue(tx, [EntryId(one) for one in entry])
        else:
            count = room.requeue_where(tx, reason=reason, lane=lane)
    if as_json:
        show_json({"requeued": count})
        return
    say(f"{count} waiting again")


@queue.command("withdraw")
def queue_withdraw(
    reason: Annotated[str, typer.Option(help="Why; kept with the entries.")],
    entry: Annotated[list[int] | None, typer.Argument(help="Entry ids.")] = None,
    policy: Annotated[str | None, typer.Option(help="All that is open of this policy id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take open entries back unanswered, by id or all of one policy version.

    Their items may be chosen again. A task that Label Studio has stays there; its answers are
    kept and count for nothing.

    Example: hitl queue withdraw 17 23 --reason "deleted by their author"
    """
    from hitl import queue as room

    if bool(entry) == bool(policy):
        raise typer.BadParameter("name entries, or a policy by --policy, and not both")
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with open_world() as world, begin(world.engine) as tx:
        if policy:
            count = room.withdraw_policy(tx, PolicyId(policy), reason=reason)
        else:
            count = room.withdraw(tx, [EntryId(one) for one in entry or []], reason=reason)
    if as_json:
        show_json({"withdrawn": count})
        return
    say(f"{count} withdrawn")


@queue.command("escalate")
def queue_escalate(
    entry: Entries,
    reason: Annotated[str, typer.Option(help="Why; kept with the entries.")],
    as_json: AsJson = False,
) -> None:
    """Hand waiting entries to the next tier. Its deadline starts now, and only it sees them.

    Example: hitl queue escalate 17 --reason "a threat against a child"
    """
    from hitl import queue as room

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with open_world() as world, begin(world.engine) as tx:
        count = room.escalate_waiting(
            tx,
            [EntryId(one) for one in entry],
            reason=reason,
            escalation_minutes=world.recipe.queue.escalation_minutes,
        )
    if as_json:
        show_json({"escalated": count})
        return
    say(f"{count} escalated")


@queue.command("reroute")
def queue_reroute(as_json: AsJson = False) -> None:
    """Give what waits the lanes and deadlines that the recipe has now.

    Deadlines count from when an entry was opened; what was escalated stays. For when lanes were
    changed: new batches follow the recipe anyway.

    Example: hitl queue reroute
    """
    from hitl import queue as room

    with open_world() as world, begin(world.engine) as tx:
        moved = room.reroute(tx, world.recipe.queue, policy_name=world.policy.name)
    if as_json:
        show_json(moved)
        return
    told = ", ".join(f"{count:,} in {lane}" for lane, count in moved.items())
    say(
        f"{sum(moved.values()):,} changed: {told}" if moved else "everything is in its lane already"
    )


@queue.command("sweep")
def queue_sweep(as_json: AsJson = False) -> None:
    """Take back what leases that ran out hold, and tell deadlines that passed, each once.

    A dispatch does it too. Example: hitl queue sweep
    """
    from flows.sweep_queue import sweep_queue

    with open_world() as world:
        report = sweep_queue(world.engine, world.recipe)
    show_report("sweep", report, as_json=as_json)
