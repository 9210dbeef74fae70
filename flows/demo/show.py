"""What the demo shows at its end: counts, before and after, pictures, books, addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from flows.cli.output import console, errors, show_table
from flows.demo import pictures as draw
from flows.demo.answers import SimulatedReviewer
from flows.demo.replay import replay_curves
from flows.demo.rounds import Round, overall
from flows.demo.scene import Scene
from flows.reconcile import reconcile
from flows.wiring import World
from hitl import evaluation, labelstudio
from hitl.db import begin
from hitl.records import Stage
from hitl.services import Endpoints
from hitl.settings import Settings

Figures = Sequence[evaluation.Measure]


def intake(kind: str, report: dict[str, Any]) -> None:
    """One line on what came in and what was set aside."""
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


def pictures(
    scene: Scene,
    before: Figures,
    played: Sequence[Round],
    *,
    folder: Path,
    batch: int,
    rounds: int,
    seeds: int,
) -> list[Path]:
    """Draw the learning curve beside random selection, and before and after."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if seeds:
        with errors.status("drawing the learning curve beside random selection…") as shown:
            curves = replay_curves(
                scene,
                batch=batch,
                rounds=rounds,
                seeds=range(seeds),
                on_step=lambda text: shown.update(escape(text)),
            )
        drawn.append(draw.learning_curve(curves, folder / "learning_curve.png"))
        console.print(escape(curves.summary()))
    if played and played[-1].figures:
        drawn.append(
            draw.before_after(before, played[-1].figures, scene, folder / "before_after.png")
        )
    return drawn


def books(world: World) -> None:
    """The reconciliation, to the last one."""
    found = reconcile(world)
    show_table(
        "the books",
        ("account", "left", "right", ""),
        [(a.name, a.left, a.right, "ok" if a.balances else a.meaning) for a in found],
    )


def where_to_look(
    world: World,
    endpoints: Endpoints,
    people: Sequence[SimulatedReviewer],
    drawn: Sequence[Path],
    settings: Settings,
    is_log: bool,
) -> None:
    """Addresses, and with which credentials a person can now label by hand."""
    console.rule("[bold]now you[/bold]")
    for path in drawn:
        console.print(f"  picture        {escape(str(path))}", soft_wrap=True)
    with begin(world.engine) as tx:
        project = labelstudio.store.project_id_of(tx, world.policy, Stage.REVIEW)
    console.print(
        f"  label by hand  {endpoints.label_studio_url}/projects/{project}/data?labeling=1",
        soft_wrap=True,
    )
    if endpoints.label_studio_password is not None:
        secret = endpoints.label_studio_password.get_secret_value()
        console.print(f"    lead         {endpoints.label_studio_email}  {escape(secret)}")
    person = people[0]
    console.print(f"    reviewer     {person.email}  {escape(person.password.get_secret_value())}")
    console.print(f"  Prefect        {(endpoints.prefect_api_url or '').removesuffix('/api')}")
    console.print("  then           .venv/bin/hitl collect, and .venv/bin/hitl queue stats")
    console.print("  stop           make down")
    if is_log:
        console.print(
            "  for the commands: export HITL_STATE="
            f"{escape(str(settings.state_folder))} HITL_POLICY={settings.policy} "
            f"HITL_RECIPE={settings.recipe}",
            soft_wrap=True,
        )


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
