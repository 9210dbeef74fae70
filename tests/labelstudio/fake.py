"""A Label Studio in memory that keeps the same promises as the real one, and fails on demand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hitl.labelstudio import (
    Account,
    ImportRefused,
    LabelStudioUnavailable,
    Page,
    ProjectGone,
    ProjectIsAnother,
    ProjectSpec,
    SeenTask,
    Webhook,
)
from hitl.records import EntryId

PAGE = 3  # small, so that listings have several pages in tests
START = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class FakeTask:
    """A task as the fake holds it."""

    task_id: int
    project_id: int
    data: dict[str, Any]
    updated_at: datetime
    overlap: int
    is_labelled: bool = False
    annotations: list[dict[str, Any]] = field(default_factory=list)


class FakeLabelStudio:
    """Keeps `hitl.labelstudio.LabelStudio`. Every write moves its own clock by one second.

    `before` and `after` map a call's name to what is run before or after it took effect; raising
    there is how a test makes it fail, with or without effect.
    """

    url = "http://label-studio.test"

    def __init__(self) -> None:
        self.projects: dict[int, ProjectSpec] = {}
        self.held: dict[int, FakeTask] = {}
        self.webhooks: dict[int, Webhook] = {}
        self.people = [Account(1, "admin@example.com")]
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.calls: list[str] = []
        self.refuse_text: str | None = None
        self.clock = START
        self._numbers = itertools.count(1)

    # The promises ---------------------------------------------------------------------------

    def version(self) -> str:
        self._called("version")
        return "fake"

    def ensure_project(self, spec: ProjectSpec, *, project_id: int | None = None) -> int:
        self._called("ensure_project")
        if project_id is None:
            same = [one for one, held in self.projects.items() if held.marker == spec.marker]
            project_id = min(same, default=None) or next(self._numbers)
        else:
            self._project(project_id, spec.marker)
        self.projects[project_id] = spec
        self._done("ensure_project")
        return project_id

    def ensure_webhook(self, project_id: int, webhook: Webhook) -> None:
        self._called("ensure_webhook")
        self.webhooks[project_id] = webhook

    def check_project(self, project_id: int, *, marker: str) -> None:
        self._called("check_project")
        self._project(project_id, marker)

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        self._called("import_tasks")
        refused = [one for one in tasks if "text" not in one or one["text"] == self.refuse_text]
        if refused:
            raise ImportRefused(self.url, [EntryId(int(one["entry_id"])) for one in refused], 400)
        made = []
        for data in tasks:
            task_id = next(self._numbers)
            made.append(task_id)
            overlap = self.projects[project_id].overlap
            self.held[task_id] = FakeTask(task_id, project_id, dict(data), self.tick(), overlap)
        self._done("import_tasks")
        return made

    def tasks_of_push(self, project_id: int, push_id: UUID) -> list[SeenTask]:
        self._called("tasks_of_push")
        mine = [one for one in self._of(project_id) if one.data.get("push_id") == str(push_id)]
        return [self._seen(one, whole=False, data=True) for one in mine]

    def last_from(self, project_id: int, task_id: int) -> tuple[SeenTask | None, int]:
        self._called("last_from")
        mine = [one for one in self._of(project_id) if one.task_id >= task_id]
        return (self._seen(mine[-1], whole=False, data=True) if mine else None), len(mine)

    def newest_update(self, project_id: int) -> datetime | None:
        self._called("newest_update")
        return max((one.updated_at for one in self._of(project_id)), default=None)

    def tasks_updated_since(self, project_id: int, since: datetime | None) -> Iterator[Page]:
        self._called("tasks_updated_since")
        mine = [one for one in self._of(project_id) if since is None or one.updated_at > since]
        yield from self._pages([self._seen(one, whole=True, data=False) for one in mine])

    def marks(self, project_id: int, *, from_task_id: int = 0) -> Iterator[Page]:
        self._called("marks")
        mine = [one for one in self._of(project_id) if one.task_id >= from_task_id]
        yield from self._pages([self._seen(one, whole=False, data=False) for one in mine])

    def tasks(self, project_id: int, task_ids: Sequence[int]) -> list[SeenTask]:
        self._called("tasks")
        mine = [one for one in self._of(project_id) if one.task_id in set(task_ids)]
        return [self._seen(one, whole=True, data=True) for one in mine]

    def delete_tasks(
        self,
        project_id: int,
        task_ids: Sequence[int],
        *,
        not_updated_after: datetime | None = None,
    ) -> None:
        self._called("delete_tasks")
        for one in task_ids:
            task = self.held.get(one)
            if task and (not_updated_after is None or task.updated_at <= not_updated_after):
                del self.held[one]
        self._done("delete_tasks")

    def reopen(self, task_id: int, *, overlap: int) -> None:
        self._called("reopen")
        task = self.held[task_id]
        task.overlap, task.is_labelled, task.updated_at = overlap, False, self.tick()
        self._done("reopen")

    def accounts(self) -> list[Account]:
        self._called("accounts")
        return list(self.people)

    # What reviewers do ------------------------------------------------------------------------

    def answer(
        self, task_id: int, result: list[dict[str, Any]], *, reviewer: int = 1, skip: bool = False
    ) -> int:
        """Submit, or skip."""
        annotation_id = next(self._numbers)
        now = self.tick()
        self.held[task_id].annotations.append(
            {
                "id": annotation_id,
                "result": result,
                "completed_by": reviewer,
                "was_cancelled": skip,
                "created_at": now.isoformat(),
                "updated_at": now.isoformat(),
                "lead_time": 2.5,
            }
        )
        self._touch(task_id)
        return annotation_id

    def edit(
        self, annotation_id: int, result: list[dict[str, Any]] | None = None, *, skip: bool = False
    ) -> None:
        """Change an answer, skip it after all, or take the skip back."""
        task_id, body = self._annotation(annotation_id)
        if result is not None:
            body["result"] = result
        body["was_cancelled"] = skip
        body["updated_at"] = self.tick().isoformat()
        self._touch(task_id)

    def take_back(self, annotation_id: int) -> None:
        """Delete an answer."""
        task_id, body = self._annotation(annotation_id)
        self.held[task_id].annotations.remove(body)
        self.tick()
        self._touch(task_id)

    def tick(self) -> datetime:
        """Move the clock."""
        self.clock += timedelta(seconds=1)
        return self.clock

    # Inside -----------------------------------------------------------------------------------

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.before:
            self.before[name]()

    def _done(self, name: str) -> None:
        if name in self.after:
            self.after[name]()

    def _project(self, project_id: int, marker: str) -> None:
        held = self.projects.get(project_id)
        if held is None:
            raise ProjectGone(self.url, project_id, marker)
        if held.marker != marker:
            raise ProjectIsAnother(self.url, project_id, marker)

    def _of(self, project_id: int) -> list[FakeTask]:
        mine = [one for one in self.held.values() if one.project_id == project_id]
        return sorted(mine, key=lambda one: one.task_id)

    def _annotation(self, annotation_id: int) -> tuple[int, dict[str, Any]]:
        for task in self.held.values():
            for body in task.annotations:
                if body["id"] == annotation_id:
                    return task.task_id, body
        raise KeyError(annotation_id)

    def _touch(self, task_id: int) -> None:
        task = self.held[task_id]
        task.updated_at = self.clock
        people = {one["completed_by"] for one in task.annotations if not one["was_cancelled"]}
        task.is_labelled = len(people) >= task.overlap

    def _seen(self, task: FakeTask, *, whole: bool, data: bool) -> SeenTask:
        kept = ("id", "updated_at") if not whole else tuple(_KEYS)
        return SeenTask(
            task_id=task.task_id,
            updated_at=task.updated_at,
            is_labelled=task.is_labelled,
            data=dict(task.data) if data else {},
            annotations=tuple({key: one[key] for key in kept} for one in task.annotations),
        )

    def _pages(self, seen: list[SeenTask]) -> Iterator[Page]:
        for start in range(0, len(seen), PAGE):
            yield Page(seen[start : start + PAGE], is_last=False)
        yield Page([], is_last=True)


_KEYS = ("id", "result", "completed_by", "was_cancelled", "created_at", "updated_at", "lead_time")


class Killed(BaseException):
    """The process dies here."""


def kill() -> None:
    """For `before` and `after`: so far, and no further."""
    raise Killed


def away(what: str = "answers HTTP 500") -> Callable[[], None]:
    """For `before` and `after`: Label Studio does not answer."""

    def fail() -> None:
        raise LabelStudioUnavailable(FakeLabelStudio.url, what)

    return fail


def chose(*categories: str, unsure: Sequence[str] = (), severity: str | None = None) -> list[Any]:
    """The result of ticking these categories."""
    parts = [("violations", list(categories)), ("cannot_tell", list(unsure))]
    parts.append(("severity", [severity] if severity else []))
    return [
        {
            "from_name": name,
            "to_name": "content",
            "type": "choices",
            "value": {"choices": choices},
        }
        for name, choices in parts
        if choices
    ]
