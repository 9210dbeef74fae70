"""What is going on: the queue, what was set aside, the models, and whether the books agree."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import progress, say, show_json, show_table
from flows.wiring import open_world
from hitl.db import begin
from hitl.records import EntryId, EntryState, PolicyId

app = typer.Typer()
queue = typer.Typer(no_args_is_help=True, help="Look at the queue, and free what is stuck.")
app.add_typer(queue, name="queue")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@queue.command("stats")
def queue_stats(as_json: AsJson = False) -> None:
    """How many entries are in which state, and how old they are.

    Example: hitl queue stats --json
    """
    from hitl import queue as room

    with open_world() as world, begin(world.engine) as tx:
        lines = room.queue_lines(tx)
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
        ("entry", "item", "batch", "state", "priority", "opened", "reason"),
        [
            (r.entry_id, r.item_id, r.batch_id, r.state, r.priority, r.opened_at, r.reason)
            for r in rows
        ],
    )


@queue.command("requeue")
def queue_requeue(
    entry: Annotated[list[int], typer.Argument(help="Entry ids.")], as_json: AsJson = False
) -> None:
    """Put dead entries back into the queue.

    Example: hitl queue requeue 17 23
    """
    from hitl import queue as room

    with open_world() as world, begin(world.engine) as tx:
        count = room.requeue(tx, [EntryId(one) for one in entry])
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


Source = Annotated[str | None, typer.Option(help="Only of this source, or of this file name.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="List so many.")]


@app.command()
def rejects(
    source: Source = None,
    limit: Limit = 50,
    annotations: Annotated[
        bool, typer.Option("--annotations", help="Answers that could not be counted instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rows that intake set aside: where they stand, and why.

    Mend the source and ingest it again: what is no longer wrong is no longer listed.

    Example: hitl rejects --source exports/today.jsonl
    """
    from hitl import decisions

    if annotations:
        _annotation_rejects(limit, as_json=as_json)
        return
    with open_world() as world, begin(world.engine) as tx:
        counts = decisions.count_rejects(tx, source=source)
        rows = decisions.list_rejects(tx, source=source, limit=limit)
    if as_json:
        show_json({"rows_by_source": counts, "rejects": rows})
        return
    show_table("rows set aside", ("source", "rows"), list(counts.items()))
    lines = len({(r.source, r.line) for r in rows})
    show_table(
        f"{lines:,} of {sum(counts.values()):,}",
        ("source", "line", "field", "reason"),
        [(r.source, r.line, r.field, r.reason) for r in rows],
    )
    if lines < sum(counts.values()):
        say("--limit lists more")


def _annotation_rejects(limit: int, *, as_json: bool) -> None:
    from hitl.labelstudio.set_aside import store

    with open_world() as world, begin(world.engine) as tx:
        count = store.count_annotation_rejects(tx)
        rows = store.list_annotation_rejects(tx, limit=limit)
    if as_json:
        show_json({"annotations": count, "rejects": rows})
        return
    show_table(
        f"annotations set aside, {len(rows):,} of {count:,}",
        ("project", "task", "entry", "reviewer", "updated", "reason"),
        [(r.project_id, r.task_id, r.entry_id, r.reviewer, r.updated_at, r.reason) for r in rows],
    )


@app.command()
def conflicts(source: Source = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """Rows under a known key that say something else. What came first stands.

    A decision: two logs disagree on what a model said at one moment; a column that the recipe got
    later does this to a log that is read again. Content: one id has two texts; give an edited text
    an id of its own.

    Example: hitl conflicts --source today.jsonl
    """
    from hitl import decisions

    with open_world() as world, begin(world.engine) as tx:
        counts = decisions.count_conflicts(tx, source=source)
        rows = decisions.list_conflicts(tx, source=source, limit=limit)
    if as_json:
        show_json({"conflicts_by_source": counts, "conflicts": rows})
        return
    show_table("conflicts", ("source", "conflicts"), list(counts.items()))
    show_table(
        f"{len(rows):,} of {sum(counts.values()):,}, newest first",
        ("kind", "item", "key", "source", "seen"),
        [(r.kind, r.item_id, r.key, r.source, r.seen_at) for r in rows],
    )


@app.command()
def policies(as_json: AsJson = False) -> None:
    """Versions of the policy that were used here, and whose labels count for the file as it is.

    Example: hitl policies
    """
    from hitl.db import list_policies

    with open_world() as world, begin(world.engine) as tx:
        rows = list_policies(tx, world.policy)
    if as_json:
        show_json({"policy_id": world.policy.policy_id, "versions": rows})
        return
    show_table(
        f"labels that count for {world.policy.policy_id}",
        ("policy", "version", "first used", "labels", "of these count"),
        [(r.policy_id, r.version, r.first_used, r.labels, r.labels_counting) for r in rows],
    )


@app.command()
def models(as_json: AsJson = False) -> None:
    """Model versions of this policy and which of them decides.

    Example: hitl models
    """
    from hitl import registry

    with open_world() as world, begin(world.engine) as tx:
        rows = registry.list_versions(tx, world.policy.name)
    if as_json:
        show_json(rows)
        return
    show_table(
        "models",
        ("model", "state", "snapshot", "trained"),
        [(r.model_version, r.state, r.snapshot_id[:12], r.trained_at) for r in rows],
    )


@app.command()
def reconcile(
    label_studio: Annotated[bool, typer.Option(help="Also count in Label Studio itself.")] = True,
    as_json: AsJson = False,
) -> None:
    """Do entries, tasks, annotations, labels and examples agree to the last one? Exit 1 if not.

    Example: hitl reconcile
    """
    from flows.reconcile import reconcile as balance

    with open_world() as world, progress("counting", quiet=as_json):
        found = balance(world, label_studio=label_studio)
    if as_json:
        show_json(
            [{"name": a.name, "left": a.left, "right": a.right, "ok": a.balances} for a in found]
        )
    else:
        show_table(
            "the books",
            ("account", "left", "right", ""),
            [(a.name, a.left, a.right, "ok" if a.balances else a.meaning) for a in found],
        )
    if not all(one.balances for one in found):
        raise typer.Exit(1)
