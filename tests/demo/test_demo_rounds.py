"""The demo's rounds where there is nothing to do, and where nothing comes to an end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from flows.demo.reviewers import Crew
from flows.demo.rounds import Round, Stuck, play_round
from flows.select_batch import select_batch
from flows.wiring import World
from hitl.policy import Policy
from hitl.recipe import DispatchRecipe, Recipe
from hitl.records import BatchId
from hitl.services import Endpoints
from hitl.settings import Settings
from tests.builders import make_policy
from tests.demo.builders import make_judged, make_scene_of
from tests.flows.worlds import RECIPE, fill

pytestmark = pytest.mark.postgres


class Steps:
    """Steps that do nothing; each gives None unless a report is named."""

    def __init__(self, **reports: dict[str, Any]) -> None:
        self.reports = reports
        self.calls: Counter[str] = Counter()

    def __call__(self, name: str, /, **_: Any) -> dict[str, Any] | None:
        self.calls[name] += 1
        return self.reports.get(name)


def world_on(engine: Engine, *, policy: Policy | None = None, recipe: Recipe = RECIPE) -> World:
    world = World(Settings(), policy or make_policy(), recipe, Endpoints())
    world.__dict__["engine"] = engine
    return world


def play(world: World, run: Steps) -> Round | None:
    return play_round(
        world,
        make_scene_of(make_judged([[1.0, 0.0]])),
        Crew((), ()),
        number=1,
        labels=20,
        run=run,
        on_label=lambda _: None,
        on_stage=lambda _: None,
    )


def test_a_round_without_anything_left_to_ask_is_none(engine: Engine) -> None:
    run = Steps()

    assert play(world_on(engine), run) is None
    assert {"select_batch": 1} == run.calls


def test_steps_without_anything_to_do_end_in_a_round_that_says_so(engine: Engine) -> None:
    found = play(world_on(engine), Steps(select_batch={}))

    assert found is not None
    assert ("too few labels to train on", 0, None) == (
        found.verdict, found.labelled_items, found.champion,
    )  # fmt: skip


@pytest.mark.parametrize(("window", "trips"), [(400, 13), (10, 24)])
def test_the_more_there_is_to_review_beside_the_window_the_more_trips_it_may_take(
    window: int, trips: int, engine: Engine, tmp_path: Path
) -> None:
    recipe = RECIPE.model_copy(update={"dispatch": DispatchRecipe(window=window)})
    policy = fill(engine)
    select_batch(
        engine, batch_id=BatchId("b"), policy=policy, recipe=recipe, seed=1, model=None, limit=120
    )
    run = Steps()

    with pytest.raises(Stuck, match=f"120 entries are still open after {trips} trips"):
        play(world_on(engine, policy=policy, recipe=recipe), run)

    assert trips == run.calls["dispatch_batch"]
