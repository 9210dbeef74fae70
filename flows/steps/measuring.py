"""What can be said of the decisions that were made, and whether it still holds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from flows.steps import clock
from flows.steps.progress import Progress, silent
from flows.wiring import World

if TYPE_CHECKING:
    from flows.certify import CertifyReport
    from flows.forecast import ForecastReport
    from flows.measure import MeasureReport
    from flows.monitor import MonitorReport
    from flows.watch_drift import DriftReport


def measure(
    world: World,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = silent,
) -> MeasureReport:
    """Step 9, over the last 28 full UTC days and today unless a window is given."""
    from flows import measure as step

    start, end = clock.window(start, end)
    return step.measure(
        world.engine, policy=world.policy, rules=world.recipe.measure, start=start, end=end
    )


def certify(world: World, *, progress: Progress = silent) -> CertifyReport:
    """Beside the loop: which thresholds may decide without a person."""
    from flows import certify as step

    return step.certify(world.engine, policy=world.policy, recipe=world.recipe.certify)


def monitor(world: World, *, progress: Progress = silent) -> MonitorReport:
    """Beside the loop: whether what was certified still holds."""
    from flows import monitor as step

    return step.monitor(world.engine, policy=world.policy)


def forecast(
    world: World, *, within: float = 0.05, seed: int = 1, progress: Progress = silent
) -> ForecastReport:
    """Beside the loop: how many more audit labels the promised figures need, and by when."""
    from flows import forecast as step

    return step.forecast(
        world.engine, policy=world.policy, recipe=world.recipe.certify, within=within, seed=seed
    )


def watch_drift(
    world: World,
    *,
    end: datetime | None = None,
    embeddings: bool | None = None,
    progress: Progress = silent,
) -> DriftReport:
    """Beside the loop: whether what comes in has changed, up to last midnight UTC or `end`."""
    from flows import watch_drift as step

    return step.watch_drift(
        world.engine,
        policy=world.policy,
        recipe=world.recipe.drift,
        end=end or clock.now(),
        embeddings=embeddings,
    )
