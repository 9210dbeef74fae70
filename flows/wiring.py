"""The composition root: the only place that reads the environment and builds what flows need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from hitl import defaults, logs
from hitl.db import check_schema, connect
from hitl.errors import Refused
from hitl.policy import Policy, load_policy
from hitl.recipe import Recipe, load_recipe
from hitl.services import Endpoints, Stack
from hitl.settings import Settings, load_settings

if TYPE_CHECKING:
    from hitl.labelstudio import LabelStudio, Webhook


class NotRunning(Refused):
    """A server that this command needs is neither started here nor named in the environment."""

    def __init__(self, what: str, variable: str) -> None:
        super().__init__(f"no {what}: run `hitl up`, or set {variable} to one of yours")
        self.what = what


@dataclass(frozen=True)
class World:
    """Everything a step may need. Connections open on first use and close with `open_world`."""

    settings: Settings
    policy: Policy
    recipe: Recipe
    endpoints: Endpoints

    @cached_property
    def engine(self) -> Engine:
        return _engine_of(self.endpoints)

    @cached_property
    def label_studio(self) -> LabelStudio:
        if self.endpoints.label_studio_url is None or self.endpoints.label_studio_token is None:
            raise NotRunning("Label Studio", "HITL_LABEL_STUDIO_URL and HITL_LABEL_STUDIO_TOKEN")
        from hitl.labelstudio import LabelStudioClient  # its SDK takes seconds to import

        return LabelStudioClient(
            self.endpoints.label_studio_url,
            token=self.endpoints.label_studio_token,
            timeout_seconds=self.settings.request_timeout_seconds,
        )

    @property
    def webhook(self) -> Webhook | None:
        """Where Label Studio shall tell of answers; None: nowhere, the poll is enough."""
        if self.settings.webhook_url is None or self.settings.webhook_secret is None:
            return None
        from hitl.labelstudio import Webhook

        return Webhook(self.settings.webhook_url, self.settings.webhook_secret)

    @property
    def models(self) -> Path:
        return self.settings.state_folder / "models"

    @property
    def snapshots(self) -> Path:
        return self.settings.state_folder / "snapshots"

    def close(self) -> None:
        """Give the connections back."""
        if "engine" in self.__dict__:
            self.engine.dispose()


def stack_of(settings: Settings, *, prefect: bool = True) -> Stack:
    """The embedded servers, less those that the environment replaces by a URL."""
    return Stack(
        settings.state_folder,
        prefect=prefect,
        label_studio_venv=settings.label_studio_venv,
        database_url=settings.database_url,
        label_studio_url=settings.label_studio_url,
        label_studio_token=settings.label_studio_token,
        prefect_api_url=settings.prefect_api_url,
        webhook_url=settings.webhook_url,
    )


def read_policy(settings: Settings) -> Policy:
    """HITL_POLICY, or the shipped policy of the demo."""
    return load_policy(settings.policy or defaults.folder() / "policy.toml")


def read_recipe(settings: Settings) -> Recipe:
    """HITL_RECIPE, or the shipped recipe of the demo."""
    return load_recipe(settings.recipe or defaults.folder() / "recipe.toml")


def _engine_of(endpoints: Endpoints) -> Engine:
    if endpoints.database_url is None:
        raise NotRunning("database", "HITL_DATABASE_URL")
    return connect(endpoints.database_url.get_secret_value())


@contextmanager
def open_database(settings: Settings | None = None) -> Iterator[Engine]:
    """The database alone, whatever its schema: for what needs neither policy nor recipe.

    Raises:
        NotRunning: there is none.
    """
    engine = _engine_of(stack_of(settings or load_settings()).endpoints())
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_world(
    settings: Settings | None = None,
    *,
    policy: Policy | None = None,
    recipe: Recipe | None = None,
) -> Iterator[World]:
    """A world for one command or flow run.

    Raises:
        Refused: a file, a variable or a server is missing; the message says which and what to do.
    """
    settings = settings or load_settings()
    world = World(
        settings=settings,
        policy=policy or read_policy(settings),
        recipe=recipe or read_recipe(settings),
        endpoints=stack_of(settings).endpoints(),
    )
    logs.configure(level=settings.log_level, as_json=settings.log_json)
    try:
        check_schema(world.engine)
        yield world
    finally:
        world.close()
