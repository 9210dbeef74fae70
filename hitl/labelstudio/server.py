"""What this room needs of a Label Studio server: the promises that the client and the fake keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """How a project must be. `marker` is ours and unique: it finds the project again."""

    marker: str
    title: str
    interface: str
    instructions: str
    overlap: int


@dataclass(frozen=True, slots=True)
class SeenTask:
    """A task as Label Studio showed it at one moment.

    `annotations` holds all of the task's annotations at that moment: one that is missing was
    deleted. Depending on the call they are whole, or `id` and `updated_at` alone. `data` is
    empty where the call does not ask for it.
    """

    task_id: int
    updated_at: datetime
    is_labelled: bool
    data: Mapping[str, Any]
    annotations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks of a listing. Every listing ends with one page, maybe empty, that `is_last`."""

    tasks: list[SeenTask]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account in Label Studio. `user_id` is what annotations call them."""

    user_id: int
    email: str


# Everybody with an account there can read it, as the open edition has no roles. It keeps strangers
# away, and what comes with it is a wake-up and no truth.
SECRET_HEADER = "X-Hitl-Webhook-Secret"  # noqa: S105 -- its name


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where Label Studio shall tell of answers, and what it shall say to be let in."""

    url: str
    secret: SecretStr


class LabelStudio(Protocol):
    """A Label Studio server.

    Every call may raise LabelStudioUnavailable (it may or may not have taken effect) or
    LabelStudioRefused. No call repeats itself.
    """

    @property
    def url(self) -> str:
        """Where it is, for messages."""
        ...

    def version(self) -> str:
        """Its release, such as 1.23.2."""
        ...

    def ensure_project(self, spec: ProjectSpec, *, project_id: int | None = None) -> int:
        """Make the project be as `spec` says and return its id; found again by its marker.

        Raises:
            ProjectGone: `project_id` is given and is not there (ProjectIsAnother: it is there
                and carries another marker).
        """
        ...

    def check_project(self, project_id: int, *, marker: str) -> None:
        """Raise ProjectGone unless the project is there and carries this marker."""
        ...

    def ensure_webhook(self, project_id: int, webhook: Webhook) -> None:
        """Let the project tell this receiver of answers, and no other receiver of ours.

        Raises:
            WebhookRefused: it may not call that address.
        """
        ...

    def import_tasks(
        self, project_id: int, tasks: Sequence[Mapping[str, Any]]
    ) -> Sequence[int] | None:
        """Add tasks, given as their `data`; all or none. Not idempotent: look first.

        Their ids in the order given; None where the reply does not tell them.

        Raises:
            ImportRefused: it took none of them.
        """
        ...

    def tasks_of_push(self, project_id: int, push_id: UUID) -> list[SeenTask]:
        """The tasks whose data carries this push, by id, with `data` and annotation marks."""
        ...

    def last_from(self, project_id: int, task_id: int) -> tuple[SeenTask | None, int]:
        """The newest task, with `data`, and how many there are from this id on. One look."""
        ...

    def newest_update(self, project_id: int) -> datetime | None:
        """The latest `updated_at` of any task, by Label Studio's clock. None: no tasks."""
        ...

    def tasks_updated_since(self, project_id: int, since: datetime | None) -> Iterator[Page]:
        """Tasks with `updated_at > since` (None: all), by id, with whole annotations, no data.

        A task that is updated meanwhile may be missed or met; none is missed otherwise.
        """
        ...

    def marks(self, project_id: int, *, from_task_id: int = 0) -> Iterator[Page]:
        """Every task from this id on, by id, with annotation marks and without data."""
        ...

    def tasks(self, project_id: int, task_ids: Sequence[int]) -> list[SeenTask]:
        """These tasks with data and whole annotations; one that is gone is absent."""
        ...

    def delete_tasks(
        self,
        project_id: int,
        task_ids: Sequence[int],
        *,
        not_updated_after: datetime | None = None,
    ) -> None:
        """Delete tasks with their annotations. One that is gone already is no error.

        With a moment by Label Studio's clock, those that were updated after it are spared: it
        looks and deletes in one request.
        """
        ...

    def reopen(self, task_id: int, *, overlap: int) -> None:
        """Let the task be served again, until `overlap` different people have answered."""
        ...

    def accounts(self) -> list[Account]:
        """Everybody who can log in, by id."""
        ...
