"""The pages, to be shown or kept in the state folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.steps import clock
from flows.steps.progress import Progress, silent
from flows.wiring import World
from hitl.records import ModelVersion

if TYPE_CHECKING:
    from flows.fairness_report import FairnessReport
    from flows.model_report import ModelReport
    from flows.reporting.pages import PageWritten
    from flows.weekly_report import WeeklyReport


def fairness_report(
    world: World,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = silent,
) -> FairnessReport:
    """A page, over the window of `measure` unless one is given."""
    from flows import fairness_report as step

    start, end = clock.window(start, end)
    return step.fairness_report(
        world.engine, policy=world.policy, rules=world.recipe.measure, start=start, end=end
    )


def weekly_report(
    world: World, *, end: datetime | None = None, progress: Progress = silent
) -> WeeklyReport:
    """A page on the seven days before `end`, or on the last six full UTC days and today."""
    from flows import weekly_report as step

    return step.weekly_report(
        world.engine,
        policy=world.policy,
        end=clock.window(None, end)[1],
        recipe=world.recipe.certify,
        is_over=end is not None,
    )


def model_report(
    world: World,
    *,
    version: str | None = None,
    end: datetime | None = None,
    progress: Progress = silent,
) -> ModelReport:
    """A page on one model, the champion by default, as it stands at `end`, or today."""
    from flows import model_report as step

    return step.model_report(
        world.engine,
        policy=world.policy,
        recipe=world.recipe.certify,
        end=clock.window(None, end)[1],
        version=ModelVersion(version) if version else None,
    )


def model_folder(world: World, version: str | None) -> Path:
    """Where a model's page is kept; None: the page that there is no champion yet."""
    return world.settings.state_folder / "reports" / "model" / (version or "none")


def keep_weekly_page(
    world: World, *, end: datetime | None = None, progress: Progress = silent
) -> PageWritten:
    """The weekly page in the state folder, a folder a week."""
    from flows.reporting.pages import keep

    end = end or clock.midnight()
    report = weekly_report(world, end=end, progress=progress)
    folder = world.settings.state_folder / "reports" / "weekly" / f"{end:%Y-%m-%d}"
    return keep(report.page, folder, name="weekly", subject=f"{end:%Y-%m-%d}")


def keep_model_page(world: World, *, progress: Progress = silent) -> PageWritten:
    """The champion's page in the state folder, a folder a model; written anew each time.

    Raises:
        NoChampion: there is none to tell of.
    """
    from flows.reporting.pages import keep
    from flows.rescore import NoChampion

    report = model_report(world, progress=progress)
    if report.model_version is None:
        raise NoChampion(world.policy.name)
    folder = model_folder(world, report.model_version)
    return keep(report.page, folder, name="model", subject=report.model_version)
