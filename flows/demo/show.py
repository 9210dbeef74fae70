"""What the demo shows at its end: counts, before and after, pictures, books, addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from flows.cli.output import console, progress, show_table
from flows.demo import pictures as draw
from flows.demo.answers import SimulatedReviewer
from flows.demo.replay import POOL_LIMIT, budgets_for, replay_curves
from flows.demo.rounds import PROMOTED_BY_DEMO, Round, overall
from flows.demo.scene import Scene
from flows.reconcile import reconcile
from flows.wiring import World
from hitl import evaluation, labelstudio
from hitl.db import begin
from hitl.records import Stage
from hitl.reports import Account

Figures = Sequence[evaluation.Measure]

_INSUFFICIENT = (
    "insufficient: too few of the labels may measure to show that the new model is no worse. A "
    "team would label more before it promotes, or take that on itself with `hitl promote --force "
    "--note`; the demo does so in its own name, so that the loop can be seen going round."
)


def intake(kind: str, report: dict[str, Any] | None) -> None:
    """One line on what came in and what was set aside."""
    if report is None:
        return
    counts = report["contents" if kind == "content" else "decisions"]
    console.print(
        f"  {kind}: {counts['read']:,} rows, {counts['new']:,} new, {counts['known']:,} known, "
        f"{counts['conflicts']:,} in conflict, {counts['rejected']:,} set aside"
        + (" (hitl rejects lists them)" if counts["rejected"] else "")
    )


def rounds(scene: Scene, before: Figures, played: Sequence[Round]) -> None:
    """A line a round, with the champion's macro average precision on the held-out items."""
    start = overall(before, "average_precision", evaluation.MACRO)
    rows: list[tuple[Any, ...]] = [("before", None, None, None, _number(start), "production model")]
    for one in played:
        found = overall(one.figures, "average_precision", evaluation.MACRO)
        rows.append(
            (
                str(one.number),
                one.answers,
                one.labelled_items,
                one.training_items,
                _number(found),
                one.verdict,
            )
        )
    console.print()
    show_table(
        f"rounds; average precision on {len(scene.test):,} held-out items, mean of categories",
        ("round", "answers", "labelled", "trained on", "average precision", "gate"),
        rows,
        caption=_INSUFFICIENT if any(one.verdict == PROMOTED_BY_DEMO for one in played) else None,
    )


def before_and_after(scene: Scene, before: Figures, last: Round | None) -> None:
    """Average precision, precision and recall of the production model and of the champion."""
    if last is None or not last.figures:
        console.print("No champion yet: nothing to hold against the production model.")
        return
    rows = []
    for category in (*scene.policy.category_ids, evaluation.MACRO):
        for metric in ("average_precision", "precision", "recall"):
            old, new = overall(before, metric, category), overall(last.figures, metric, category)
            if old is not None or new is not None:
                rows.append((category, metric.replace("_", " "), _number(old), _number(new)))
    show_table(
        "production model and champion, 95 % intervals",
        ("category", "metric", "before", "after"),
        rows,
    )
    category = scene.policy.category_ids[0]
    gains = {one.surface: one for one in last.by_surface}
    surfaces = [
        (
            one.slice_value,
            gains[one.slice_value].labels,
            one.n_positive,
            _number(_at(before, one)),
            _number(one),
            str(gains[one.slice_value].gain or "too_few_events"),
        )
        for one in last.figures
        if one.metric == "average_precision"
        and one.category == category
        and one.slice_name == "surface"
    ]
    show_table(
        f"average precision for {category} by surface; the difference is paired",
        ("surface", "labels learned from", "held-out violations", "before", "after", "difference"),
        surfaces,
    )


def before_after_picture(scene: Scene, before: Figures, last: Round, folder: Path) -> Path:
    """The picture of the production model beside the champion."""
    return draw.before_after(before, last.figures, scene, folder / "before_after.png")


def curve(scene: Scene, folder: Path, *, batch: int, rounds: int, seeds: int) -> list[Path]:
    """The finding and the picture of the learning curve beside random selection.

    Empty where a single round asks more than there is to choose from.
    """
    budgets = budgets_for(scene, batch=batch, rounds=rounds)
    if len(budgets) < rounds:
        console.print(
            f"The curve beside random chooses from {min(len(scene.pool), POOL_LIMIT):,} items, "
            + (f"so it ends at {budgets[-1]:,} labels." if budgets else "too few for one round.")
        )
    if not budgets:
        return []
    with progress("learning curve beside random selection: trainings") as tick:
        curves = replay_curves(scene, budgets=budgets, seeds=range(seeds), on_step=tick)
    console.print(escape(curves.summary()))
    return [draw.learning_curve(curves, folder / "learning_curve.png")]


def books(world: World) -> list[Account]:
    """The reconciliation, to the last one."""
    found = reconcile(world)
    show_table(
        "the books",
        ("account", "left", "right", ""),
        [(a.name, a.left, a.right, "ok" if a.balances else a.meaning) for a in found],
    )
    return found


def where_to_look(
    world: World, people: Sequence[SimulatedReviewer], drawn: Sequence[Path], *, exports: str
) -> None:
    """Addresses, and with which credentials a person can now label by hand.

    `exports`: the assignments that point `hitl` at the demo's world, if it needs any.
    """
    console.rule("[bold]now you[/bold]")
    for path in drawn:
        _line("picture", escape(str(path)))
    with begin(world.engine) as tx:
        project = labelstudio.store.project_id_of(tx, world.policy, Stage.REVIEW)
    there = world.endpoints
    _line("label by hand", f"{there.label_studio_url}/projects/{project}/data?labeling=1")
    if there.label_studio_password is not None:
        secret = there.label_studio_password.get_secret_value()
        _line("  lead", f"{there.label_studio_email}  {escape(secret)}")
    person = people[0]
    _line("  reviewer", f"{person.email}  {escape(person.password.get_secret_value())}")
    _line("Prefect", (there.prefect_api_url or "").removesuffix("/api"))
    if exports:
        _line("then", f"export {escape(exports)}")
    _line("" if exports else "then", ".venv/bin/hitl collect; .venv/bin/hitl queue stats")
    _line("stop", "make down, or .venv/bin/hitl down")
    _line("your own data", "in a new shell, .venv/bin/hitl up starts an empty world of your own")


def _line(name: str, value: str) -> None:
    console.print(f"  {name:<15}{value}", soft_wrap=True)


def _at(figures: Figures, like: evaluation.Measure) -> evaluation.Measure | None:
    for one in figures:
        if (one.metric, one.category, one.slice_name, one.slice_value) == (
            like.metric,
            like.category,
            like.slice_name,
            like.slice_value,
        ):
            return one
    return None


def _number(found: evaluation.Measure | None) -> str:
    if found is None:
        return "-"
    if found.value is None:
        return str(found.code)
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
