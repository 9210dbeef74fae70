"""The demo's rounds: choose, send, review, collect, freeze, train, judge, decide anew, measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from flows import steps
from flows.deciding.bundles import load_registered
from flows.demo.reviewers import Crew, review
from flows.demo.scene import FloatArray, Judged, Scene
from flows.wiring import World
from hitl import datasets, evaluation, labelstudio, queue, registry, training
from hitl.db import begin
from hitl.errors import Refused
from hitl.records import EntryState, Split

_OPEN = (EntryState.WAITING, EntryState.DISPATCHED, EntryState.ADJUDICATING)
# A question comes back when it was skipped or its answer could not be counted. So many trips
# through Label Studio, beyond those that its window takes, empty any queue of the demo; more means
# that something is stuck.
_SPARE_TRIPS = 12
PROMOTED_BY_DEMO = "insufficient, promoted by the demo"
_NO_TRAINING = "too few labels to train on"


class RunStep(Protocol):
    """How a step is run: as a Prefect flow on the server, or here.

    Gives the step's report, or None where there was nothing to do yet.
    """

    def __call__(self, name: str, /, **parameters: Any) -> dict[str, Any] | None: ...


class Stuck(Refused):
    """The simulated reviewers left questions open, however often they were asked."""

    def __init__(self, open_entries: int, trips: int) -> None:
        super().__init__(
            f"{open_entries} entries are still open after {trips} trips through Label Studio; "
            "look at `hitl queue list` and at the project in Label Studio"
        )
        self.open_entries = open_entries


@dataclass(frozen=True, slots=True)
class Round:
    """What one round left behind. `figures` are the standing champion's on the held-out items."""

    number: int
    answers: int
    labelled_items: int
    training_items: int
    verdict: str
    champion: str | None
    figures: tuple[evaluation.Measure, ...]
    by_surface: tuple[SurfaceGain, ...]


@dataclass(frozen=True, slots=True)
class SurfaceGain:
    """On one surface: the champion against production in the policy's first category.

    `labels` is how many labelled items of that surface the champion could learn from; `gain` is
    None where the held-out items are too few to tell.
    """

    surface: str
    labels: int
    gain: evaluation.Gain | None


def gains_by_surface(
    probabilities: FloatArray, scene: Scene, labels: Mapping[str, int], *, seed: int
) -> tuple[SurfaceGain, ...]:
    """The paired difference in average precision on every surface of the held-out items."""
    surfaces = np.array(scene.test.surfaces)
    return tuple(
        SurfaceGain(
            surface,
            labels.get(surface, 0),
            evaluation.gain_in_average_precision(
                scene.test.production[surfaces == surface, 0],
                probabilities[surfaces == surface, 0],
                scene.test.gold[surfaces == surface, 0],
                seed=seed,
            ),
        )
        for surface in sorted(set(scene.test.surfaces))
    )


def figures_of(
    probabilities: FloatArray, test: Judged, scene: Scene, *, seed: int
) -> tuple[evaluation.Measure, ...]:
    """Average precision, precision and recall on the held-out items, overall and by surface."""
    return tuple(
        evaluation.evaluate(
            probabilities,
            test.gold,
            scene.policy.category_ids,
            thresholds=[one.threshold for one in scene.policy.category],
            slices={"surface": list(test.surfaces)},
            seed=seed,
            resamples=500,
        )
    )


def play_round(
    world: World,
    scene: Scene,
    crew: Crew,
    *,
    number: int,
    labels: int,
    run: RunStep,
    on_label: Callable[[int], None],
    on_stage: Callable[[str], None],
) -> Round | None:
    """One time round the loop. Safe to repeat with the same number: what is done is found done.

    None: nothing was left to ask, and nothing was open.
    """
    on_stage("choosing what to ask")
    chosen = run("select_batch", batch_id=f"demo-{number}", limit=labels)
    if chosen is None and not _count_open(world):
        return None
    answers = _review_all(world, scene, crew, run=run, on_label=on_label, on_stage=on_stage)

    on_stage("freezing a snapshot")
    frozen = run("freeze_snapshot")
    verdict = _NO_TRAINING
    if frozen is not None:
        on_stage("training a challenger")
        if run("train_challenger", data_note=_data_note(scene)) is not None:
            on_stage("judging it")
            verdict = _promote(world, run)
    champion = _champion(world)
    if champion is not None:
        on_stage("letting the champion decide")
        run("rescore")
        run("measure")
    examples = () if frozen is None else datasets.read_snapshot(Path(frozen["path"])).examples
    bought = Counter(one.surface or "" for one in examples if one.split is Split.TRAIN)
    figures: tuple[evaluation.Measure, ...] = ()
    by_surface: tuple[SurfaceGain, ...] = ()
    if champion is not None:
        probabilities = training.probabilities_for(
            champion[1], scene.test.texts, scene.policy.category_ids
        )
        figures = figures_of(probabilities, scene.test, scene, seed=number)
        by_surface = gains_by_surface(probabilities, scene, bought, seed=number)
    return Round(
        number=number,
        answers=answers,
        labelled_items=len(examples),
        training_items=bought.total(),
        verdict=verdict,
        champion=champion[0] if champion else None,
        figures=figures,
        by_surface=by_surface,
    )


def _data_note(scene: Scene) -> str:
    """What must stand above everything that a model card of the demo says."""
    stream = (
        "the content and its decisions were made up by a generator"
        if scene.is_synthetic
        else ("the content is from a real decision log")
    )
    return f"A demo: {stream}, and simulated reviewers answered, with errors of their own."


def rounds_played(world: World) -> int:
    """How many demo batches there are already: a second demo goes on where the first ended."""
    with begin(world.engine) as tx:
        return queue.count_batches(tx, prefix="demo-")


def _review_all(
    world: World,
    scene: Scene,
    crew: Crew,
    *,
    run: RunStep,
    on_label: Callable[[int], None],
    on_stage: Callable[[str], None],
) -> int:
    answers = 0
    trips = _SPARE_TRIPS + ceil(_count_open(world) / world.recipe.dispatch.window)
    for _ in range(trips):
        on_stage("sending tasks to Label Studio")
        run("dispatch_batch")
        with begin(world.engine) as tx:
            projects = labelstudio.store.projects(tx, world.policy)
        on_stage("reviewers at work")
        for project in projects:

            def told(count: int, before: int = answers) -> None:
                on_label(before + count)

            report = review(
                crew, project.project_id, scene.pool, policy=scene.policy, on_label=told
            )
            answers += report.submitted
        on_stage("collecting answers")
        run("collect_annotations")
        if not _count_open(world):
            return answers
    raise Stuck(_count_open(world), trips)


def _count_open(world: World) -> int:
    with begin(world.engine) as tx:
        counts = queue.count_by_state(tx, world.policy.policy_id)
    return sum(counts[state] for state in _OPEN)


def _promote(world: World, run: RunStep) -> str:
    verdict = run("promote_champion", approved_by="gate")
    if verdict is None:
        return "no challenger: nothing new was learned"
    if verdict["promoted"] or verdict["decision"] != "insufficient":
        return str(verdict["decision"])
    # Few labels cannot show what the gate asks for. In the demo somebody takes that on, as a
    # person would with `hitl promote --force --note`; it is written down as such.
    steps.promote_champion(
        world,
        approved_by="demo",
        force=True,
        note="the demo promotes on thin evidence so that the loop can be seen going round",
    )
    return PROMOTED_BY_DEMO


def _champion(world: World) -> tuple[str, training.Model] | None:
    with begin(world.engine) as tx:
        champion = registry.champion(tx, world.policy.name)
    if champion is None:
        return None
    return champion.model_version, load_registered(champion)


def overall(figures: Sequence[evaluation.Measure], metric: str, category: str) -> Any:
    """The figure over all surfaces, or None."""
    for one in figures:
        if (one.metric, one.category, one.slice_name) == (metric, category, ""):
            return one
    return None
