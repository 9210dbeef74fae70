"""What is going on: what was set aside, the models, and whether the books agree."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import progress, say, show_json, show_table
from flows.wiring import open_world
from hitl.db import begin

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
