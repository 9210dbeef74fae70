"""What a dispatch tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hitl.records import EntryId, Stage


@dataclass(frozen=True, slots=True)
class DispatchReport:
    """What a dispatch did. `pushed` are new tasks, `recovered` those of an interrupted run.

    `window` is how many open tasks there should be, by how fast reviewers answered when they last
    worked (None: too few answers to tell).
    `waiting_elsewhere` wait under other versions of the policy; the next selection takes them back.
    """

    stage: Stage
    project_id: int | None = None
    pushed: int = 0
    recovered: int = 0
    doubles_removed: int = 0
    refused: list[EntryId] = field(default_factory=list)
    webhook_refused: bool = False
    open_tasks: int = 0
    window: int = 0
    answers_per_hour: float | None = None
    waiting: int = 0
    waiting_elsewhere: int = 0

    def with_older(self, older: DispatchReport) -> DispatchReport:
        """These figures and those of an older version of the policy, in the same stage."""
        return replace(
            self,
            pushed=self.pushed + older.pushed,
            recovered=self.recovered + older.recovered,
            doubles_removed=self.doubles_removed + older.doubles_removed,
            refused=self.refused + older.refused,
            open_tasks=self.open_tasks + older.open_tasks,
            waiting=self.waiting + older.waiting,
        )
