"""The steps as functions of plain arguments, so that a process of its own can run them."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from flows import steps
from flows.steps import clock
from flows.wiring import open_world
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.settings import Settings


def run_step(
    name: str,
    *,
    database_url: str,
    state: Path,
    policy: Policy,
    recipe: Recipe,
    label_studio_url: str = "http://127.0.0.1:9",
    label_studio_token: str = "none",
    request_timeout_seconds: float = 60.0,
    skew_seconds: float = 0.0,
    **parameters: Any,
) -> Any:
    """One step of `flows.steps` on the world that the arguments name.

    `skew_seconds` is by how much this process's clock is ahead of the servers'.
    """
    if skew_seconds:
        clock.datetime = _skewed(timedelta(seconds=skew_seconds))  # type: ignore[attr-defined]
    settings = Settings(
        state=state,
        database_url=SecretStr(database_url),
        label_studio_url=label_studio_url,
        label_studio_token=SecretStr(label_studio_token),
        request_timeout_seconds=request_timeout_seconds,
        log_level="ERROR",
    )
    with open_world(settings, policy=policy, recipe=recipe) as world:
        return getattr(steps, name)(world, **parameters)


def _skewed(by: timedelta) -> type[datetime]:
    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + by

    return Skewed
