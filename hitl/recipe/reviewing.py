"""In which order reviewers are asked, how many tasks they hold, and how answers come back."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hitl.recipe.values import Strict


class LaneMatch(Strict):
    """What an item must be to belong to a lane: one of each list that is not empty.

    Only what is known of an item without a model: were lanes chosen by score, an audit's wait
    would depend on it.
    """

    policy: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    market: tuple[str, ...] = ()
    surface: tuple[str, ...] = ()


class Lane(Strict):
    """A lane of the queue. The first one that matches an item takes it.

    `tier` 2 or more: only who may take that tier is given its entries, and Label Studio never
    is. What a quota does not let in is recorded and stays a candidate; audits always come in.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    match: LaneMatch = LaneMatch()
    sla_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 1440.0
    tier: Annotated[int, Field(ge=1, le=9)] = 1
    per_minute: Annotated[int, Field(ge=0)] | None = None
    per_hour: Annotated[int, Field(ge=0)] | None = None
    per_day: Annotated[int, Field(ge=0)] | None = None


class QueueRecipe(Strict):
    """In which order, by when and by whom entries are answered (docs/queue.md).

    `ageing_minutes`: twice the priority is worth so many minutes of waiting. `sla_minutes` is the
    deadline of what no lane matches, `escalation_minutes` that of what was escalated, from then.
    """

    ageing_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 60.0
    sla_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 1440.0
    escalation_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 240.0
    skips_per_day: Annotated[int, Field(ge=0)] = 50
    skips_before_escalation: Annotated[int, Field(ge=1, le=99)] = 3
    failures_before_dead: Annotated[int, Field(ge=1, le=99)] = 5
    lanes: tuple[Lane, ...] = ()

    @model_validator(mode="after")
    def _each_lane_has_a_name_of_its_own(self) -> Self:
        names = [lane.name for lane in self.lanes]
        if "unrouted" in names:
            raise ValueError("'unrouted' is the lane of what no lane matches; rename yours")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two lanes are named {name!r}; rename one")
        return self


class DispatchRecipe(Strict):
    """How many open tasks Label Studio holds, and how many go there in one call.

    As many as the reviewers answer in `minutes_ahead` at their latest pace, from `least_window`
    to `window`, and `window` while their pace is not known. What becomes urgent waits behind them.

    `tasks_per_project`: of how many finished tasks a project is kept. More make every next task
    slower, so the oldest are taken out of Label Studio once all of them is stored (0: never).
    """

    window: Annotated[int, Field(ge=1, le=10_000)] = 400
    least_window: Annotated[int, Field(ge=1, le=10_000)] = 40
    minutes_ahead: Annotated[float, Field(gt=0.0, le=1440.0)] = 60.0
    tasks_per_push: Annotated[int, Field(ge=1, le=1_000)] = 200
    tasks_per_project: Annotated[int, Field(ge=0)] = 5000


class CollectRecipe(Strict):
    """How labels come back.

    `overlap_seconds`: how far each poll looks back past its watermark, because Label Studio sets
    `updated_at` before it commits. `sweep_minutes`: how often every open task is looked at
    whatever its `updated_at`, because a crash of Label Studio can leave that stale.
    `archive_after_hours`: for how long a reviewer may still mend an answer, at least; only then
    may its task be taken out of Label Studio (`dispatch.tasks_per_project`).
    """

    overlap_seconds: Annotated[float, Field(ge=10.0)] = 60.0
    sweep_minutes: Annotated[float, Field(ge=0.0)] = 10.0
    archive_after_hours: Annotated[float, Field(gt=0.0)] = 24.0
