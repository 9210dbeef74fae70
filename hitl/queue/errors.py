"""Why the queue refuses."""

from __future__ import annotations

from collections.abc import Sequence

from hitl.errors import NotYet, Refused
from hitl.records import EntryId, EntryState


class NotInQueue(Refused):
    """No entry of that id is in a state from which it could be moved so."""

    def __init__(self, entry_ids: Sequence[EntryId], wanted: EntryState | str) -> None:
        listed = ", ".join(str(one) for one in entry_ids[:10])
        super().__init__(
            f"entry {listed}: cannot move to {wanted}; see `hitl queue list` for its state"
        )
        self.entry_ids = tuple(entry_ids)


class NothingOpen(Refused):
    """No entry of that policy is open."""

    def __init__(self, policy_id: str) -> None:
        super().__init__(
            f"policy {policy_id}: no open entry; `hitl queue stats` lists those that have some"
        )
        self.policy_id = policy_id


class LeaseLost(Refused):
    """The lease has ended, or these entries are no longer in it."""

    def __init__(self, lease_id: int, entry_ids: Sequence[EntryId] = ()) -> None:
        listed = ", ".join(str(one) for one in entry_ids[:10])
        about = f"entry {listed}" if listed else "all of it"
        super().__init__(
            f"lease {lease_id}, {about}: no longer ours; drop this answer and claim again"
        )
        self.lease_id = lease_id
        self.entry_ids = tuple(entry_ids)


class NoSkill(Refused):
    """Somebody claims what they may not take."""

    def __init__(self, holder: str, lanes: Sequence[str] | None) -> None:
        wanted = f"lane {', '.join(lanes)}" if lanes else "any lane"
        super().__init__(
            f"{holder} may not take {wanted}; `hitl queue allow {holder} --lane NAME` says who may"
        )
        self.holder = holder


class SkipsUsedUp(NotYet):
    """Somebody has skipped as much as one may in a day."""

    def __init__(self, holder: str, skipped: int, limit: int) -> None:
        super().__init__(
            f"{holder} has skipped {skipped} in 24 hours and queue.skips_per_day is {limit}; "
            "answer, escalate or give back, or raise it in the recipe"
        )
        self.holder = holder
        self.skipped = skipped
