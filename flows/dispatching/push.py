"""A push becomes tasks in Label Studio, each once, whatever became of an earlier try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hitl import logs
from hitl.db import begin
from hitl.labelstudio import (
    ImportRefused,
    LabelStudio,
    LabelStudioUnavailable,
    SeenTask,
    TaskContent,
    claim_of,
    pushes,
    remove_unanswered,
    store,
    task_data,
)
from hitl.policy import Policy
from hitl.records import EntryId, Stage

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logs.get(__name__)

Body = dict[str, Any]

# A call that lost its reply may still be at work. Postgres was seen to finish one second after
# Label Studio was killed, and imports of 1,000 tasks to take less than one.
SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A push that Label Studio took: which entries have a task now, as far as its replies say."""

    push_id: UUID
    project_id: int
    brought: set[EntryId]
    told: dict[EntryId, int]
    refused: list[EntryId]


@dataclass(slots=True)
class Pusher:
    """Brings the pushes of one policy and stage, and counts what it met on the way.

    `settle_seconds` is how long an interrupted call may still be at work in Label Studio.
    """

    engine: Engine
    label_studio: LabelStudio
    policy: Policy
    stage: Stage
    settle_seconds: float
    sleep: Callable[[float], None]
    settled: bool = False
    accepted: int = 0
    doubles_removed: int = 0
    refused: list[EntryId] = field(default_factory=list)

    def finish(self, push: pushes.Push) -> int:
        """Bring what an interrupted run may not have brought. How many tasks came to be known."""
        there = self._look(push)
        missing = [one for one in push.contents if one.entry_id not in there]
        if missing and not self.settled:
            # The interrupted call may be about to land; importing now would double it.
            self.sleep(self.settle_seconds)
            self.settled = True
            there = self._look(push)
            missing = [one for one in push.contents if one.entry_id not in there]
        with begin(self.engine) as tx:
            found = pushes.adopt(tx, push.push_id, self.stage, there)
        sent = self.send(push, self.write(push, missing))
        return found + self.keep(sent) + self.confirm([sent], is_told=self.is_as_told([sent]))

    def write(self, push: pushes.Push, contents: Sequence[TaskContent]) -> list[Body]:
        """The tasks of these entries, as Label Studio takes them."""
        return [
            task_data(one, push_id=push.push_id, stage=self.stage, policy=self.policy)
            for one in contents
        ]

    def send(self, push: pushes.Push, bodies: Sequence[Body]) -> Sent:
        """Import these, as far as Label Studio takes them. Nothing is written down yet.

        Raises:
            ImportRefused: it takes none, and that is not the fault of a single entry.
        """
        told: dict[EntryId, int] = {}
        refused = self._import(push, bodies, told) if bodies else []
        if refused and not self.accepted and not self._blames_entry(push, refused):
            # Not one was taken: it is the project that is wrong, not these entries.
            self.take_back(push)
            raise ImportRefused(self.label_studio.url, refused, 400)
        self.refused += refused
        brought = {_entry_of(one) for one in bodies} - set(refused)
        return Sent(push.push_id, push.project_id, brought, told, refused)

    def take_back(self, push: pushes.Push) -> None:
        """Drop the intents of a push that brought nothing and is not under way."""
        with begin(self.engine) as tx:
            pushes.close_push(tx, push.push_id)

    def keep(self, sent: Sent) -> int:
        """Write down what the replies told. How many tasks are new."""
        with begin(self.engine) as tx:
            new = pushes.adopt(tx, sent.push_id, self.stage, sent.told)
            if sent.refused:
                pushes.bury(tx, sent.refused, reason="Label Studio refused the task")
        return new

    def confirm(self, sent: Sequence[Sent], *, is_told: bool) -> int:
        """Close these pushes, if need be after a look at each of their tasks. How many are new."""
        new = 0
        for one in () if is_told else sent:
            there = self._look(one)
            if lost := one.brought - set(there):
                raise LabelStudioUnavailable(
                    self.label_studio.url, f"took {len(lost)} task(s) that it does not show"
                )
            with begin(self.engine) as tx:
                new += pushes.adopt(tx, one.push_id, self.stage, there)
        with begin(self.engine) as tx:
            for one in sent:
                pushes.close_push(tx, one.push_id)
        return new

    def is_as_told(self, sent: Sequence[Sent]) -> bool:
        """Are these the tasks of the pushes, each once, by what the replies told and by one look?

        A look at all of them takes as long as their import. The last one in its place, ids that
        rise as the tasks were given, and no more there from the first on than we brought leave no
        room for another.
        """
        told = [
            (entry_id, one.push_id, task_id)
            for one in sent
            for entry_id, task_id in one.told.items()
        ]
        ids = [task_id for _, _, task_id in told]
        if any(set(one.told) != one.brought for one in sent) or ids != sorted(ids):
            return False
        if not ids:
            return True
        last, total = self.label_studio.last_from(sent[0].project_id, ids[0])
        return (
            last is not None
            and total == len(ids)
            and last.task_id == ids[-1]
            and claim_of(last) == told[-1][:2]
        )

    def _import(
        self, push: pushes.Push, bodies: Sequence[Body], told: dict[EntryId, int]
    ) -> list[EntryId]:
        """One call; halves of it where it is refused, until the refused ones stand alone.

        `told` takes up which task is whose, as far as the replies say.
        """
        try:
            ids = self.label_studio.import_tasks(push.project_id, bodies)
        except ImportRefused:
            if len(bodies) == 1:
                return [_entry_of(bodies[0])]
            half = len(bodies) // 2
            return [
                *self._import(push, bodies[:half], told),
                *self._import(push, bodies[half:], told),
            ]
        self.accepted += len(bodies)
        told.update(zip((_entry_of(one) for one in bodies), ids or (), strict=False))
        return []

    def _blames_entry(self, push: pushes.Push, refused: Sequence[EntryId]) -> bool:
        """Is it the entry that is wrong? So it is if it alone was refused by a project that has
        taken others before; a second one in a row points at the server."""
        if len(refused) > 1 or self.refused:
            return False
        with begin(self.engine) as tx:
            return pushes.has_taken_any(tx, push.project_id)

    def _look(self, push: pushes.Push | Sent) -> dict[EntryId, int]:
        """Which entries of this push have which task; what is there twice is removed."""
        claimed = [
            (claim, task)
            for task in self.label_studio.tasks_of_push(push.project_id, push.push_id)
            if (claim := claim_of(task)) is not None and claim[1] == push.push_id
        ]
        with begin(self.engine) as tx:
            asked = store.asked_tasks(tx, push.project_id, [claim for claim, _ in claimed])
        by_entry: dict[EntryId, list[SeenTask]] = {}
        for claim, task in claimed:
            if claim in asked:
                by_entry.setdefault(claim[0], []).append(task)
        extra: list[int] = []
        kept: dict[EntryId, int] = {}
        for entry_id, seen in by_entry.items():
            known = asked[entry_id, push.push_id]
            # The one that we know; else one with an answer, which is never thrown away.
            seen.sort(key=lambda one: (one.task_id != known, not one.annotations, one.task_id))
            kept[entry_id] = seen[0].task_id
            extra += [one.task_id for one in seen[1:] if not one.annotations]
        removed = remove_unanswered(self.label_studio, push.project_id, extra)
        if removed:
            log.warning("double_tasks_removed", push_id=str(push.push_id), task_ids=removed)
            self.doubles_removed += len(removed)
        return kept


def _entry_of(body: Body) -> EntryId:
    return EntryId(body["entry_id"])
