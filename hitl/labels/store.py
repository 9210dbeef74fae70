"""Labels in SQL: votes of many entries at once become label rows and moves in the queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from hitl.db.locks import take_turns
from hitl.db.schema import entries, labels, snapshots
from hitl.errors import Refused
from hitl.labels.resolution import (
    Answer,
    NeedsAdjudication,
    NeedsVote,
    Resolution,
    Resolved,
    resolve,
)
from hitl.policy import Policy
from hitl.records import EntryId, EntryState, PolicyId, Stage, Vote

TAKEN_BACK = "taken_back"
_ONE_OPEN = "pk_open_items"
# Others are not ours to move: `waiting` has no task, and a person closed the rest.
_MOVABLE = (EntryState.DISPATCHED, EntryState.ADJUDICATING, EntryState.DONE)


class UnknownEntries(Refused):
    """Entries that do not exist, or belong to another policy than the one given."""

    def __init__(self, entry_ids: Sequence[EntryId], policy_id: PolicyId) -> None:
        listed = ", ".join(str(one) for one in entry_ids[:10])
        super().__init__(
            f"entry {listed}: not an entry of policy {policy_id}; "
            "resolve it under the policy it was asked under"
        )
        self.entry_ids = tuple(entry_ids)


@dataclass(frozen=True, slots=True)
class ResolveCounts:
    """What one call found, and what it changed.

    The first four add up to the entries asked for: `left_alone` are waiting, withdrawn or dead.
    `blocked` of them should be open again, but their item has another open entry; their labels
    are taken back all the same. A second call finds the same and changes nothing.
    """

    resolved: int = 0
    needs_vote: int = 0
    needs_adjudication: int = 0
    left_alone: int = 0
    blocked: int = 0
    moved: int = 0
    labels_written: int = 0
    labels_taken_back: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    entry_id: EntryId
    item_id: str
    state: EntryState
    votes_wanted: int


# As the view `current_votes`, but it starts from the entries: the view would sort every
# annotation there is. A test holds the two together.
_VOTES = """
    WITH newest AS (
        SELECT DISTINCT ON (unique_id) unique_id, updated_at, kind, entry_id, stage, reviewer
        FROM annotations WHERE entry_id = ANY(:entry_ids) ORDER BY unique_id, updated_at DESC
    )
    SELECT n.entry_id, n.stage, n.reviewer, n.kind, n.unique_id, n.updated_at,
           v.answers, v.severity
    FROM newest n LEFT JOIN votes v USING (unique_id, updated_at)
    WHERE n.kind = 'skipped' OR (n.kind = 'submitted' AND v.unique_id IS NOT NULL)
"""

_CURRENT = """
    SELECT DISTINCT ON (entry_id, category) *
    FROM labels WHERE entry_id = ANY(:entry_ids) ORDER BY entry_id, category, revision DESC
"""


def resolve_entries(tx: Connection, entry_ids: Iterable[EntryId], policy: Policy) -> ResolveCounts:
    """Bring labels and queue states of these entries in step with their votes.

    A label row is added only where the answer differs from the newest revision; a label that no
    longer follows from the votes gets a revision without a value. Calls for one policy wait for
    each other until the caller's transaction ends, so that label ids are in order of commit.

    Raises:
        UnknownEntries: one of them does not exist, or was asked under another policy.
    """
    wanted = sorted(set(entry_ids))
    if not wanted:
        return ResolveCounts()
    take_turns(tx, f"labels {policy.policy_id}")
    asked = _lock_entries(tx, wanted, policy)
    movable = [one for one in asked if one.state in _MOVABLE]
    votes, skips = _read_votes(tx, [one.entry_id for one in movable])
    found = {
        one.entry_id: resolve(
            votes[one.entry_id],
            categories=policy.category_ids,
            votes_wanted=one.votes_wanted,
            skips=skips[one.entry_id],
        )
        for one in movable
    }
    written, taken_back = _write_labels(tx, movable, found, policy)
    moved, blocked = _move(tx, movable, found)
    return ResolveCounts(
        resolved=sum(isinstance(one, Resolved) for one in found.values()),
        needs_vote=sum(isinstance(one, NeedsVote) for one in found.values()),
        needs_adjudication=sum(isinstance(one, NeedsAdjudication) for one in found.values()),
        left_alone=len(asked) - len(movable),
        blocked=blocked,
        moved=moved,
        labels_written=written,
        labels_taken_back=taken_back,
    )


def count_since(tx: Connection, policy_id: PolicyId, label_id: int) -> int:
    """How many entries have got a label that counts for this policy, or another one, after
    `label_id` (0: ever)."""
    return int(
        tx.execute(
            text(
                "SELECT count(DISTINCT l.entry_id) FROM labels l "
                "JOIN related_policies r ON r.related_id = l.policy_id "
                "WHERE r.policy_id = :policy_id AND l.label_id > :label_id"
            ),
            {"policy_id": policy_id, "label_id": label_id},
        ).scalar_one()
    )


def count_since_snapshot(tx: Connection, policy_id: PolicyId) -> int:
    """`count_since` the newest label that any snapshot of this policy holds."""
    newest = select(func.coalesce(func.max(snapshots.c.last_label_id), 0)).where(
        snapshots.c.policy_id == policy_id
    )
    return count_since(tx, policy_id, tx.execute(newest).scalar_one())


def _lock_entries(tx: Connection, wanted: Sequence[EntryId], policy: Policy) -> list[_Asked]:
    # In id order, so that two callers with the same entries wait and do not deadlock.
    rows = tx.execute(
        text(
            "SELECT entry_id, item_id, state, votes_wanted FROM entries "
            "WHERE entry_id = ANY(:entry_ids) AND policy_id = :policy_id "
            "ORDER BY entry_id FOR UPDATE"
        ),
        {"entry_ids": wanted, "policy_id": policy.policy_id},
    )
    asked = [
        _Asked(EntryId(row.entry_id), row.item_id, EntryState(row.state), row.votes_wanted)
        for row in rows
    ]
    known = {one.entry_id for one in asked}
    if missing := [one for one in wanted if one not in known]:
        raise UnknownEntries(missing, policy.policy_id)
    return asked


def _read_votes(
    tx: Connection, entry_ids: Sequence[EntryId]
) -> tuple[Mapping[EntryId, list[Vote]], Mapping[EntryId, int]]:
    """Counted votes per entry, and how many reviewers skipped its first review without a vote."""
    votes: dict[EntryId, list[Vote]] = defaultdict(list)
    skippers: dict[EntryId, set[str]] = defaultdict(set)
    for row in tx.execute(text(_VOTES), {"entry_ids": list(entry_ids)}):
        if row.kind == "submitted":
            votes[row.entry_id].append(
                Vote(
                    unique_id=row.unique_id,
                    updated_at=row.updated_at,
                    entry_id=row.entry_id,
                    stage=Stage(row.stage),
                    reviewer=row.reviewer,
                    answers=row.answers,
                    severity=row.severity,
                )
            )
        elif row.stage == Stage.REVIEW:
            skippers[row.entry_id].add(row.reviewer)
    skips: dict[EntryId, int] = defaultdict(int)
    for entry_id, reviewers in skippers.items():
        voted = {one.reviewer for one in votes[entry_id] if one.stage is Stage.REVIEW}
        skips[entry_id] = len(reviewers - voted)
    return votes, skips


def _write_labels(
    tx: Connection, asked: Sequence[_Asked], found: Mapping[EntryId, Resolution], policy: Policy
) -> tuple[int, int]:
    current: dict[EntryId, dict[str, Any]] = defaultdict(dict)
    for row in tx.execute(text(_CURRENT), {"entry_ids": [one.entry_id for one in asked]}):
        current[row.entry_id][row.category] = row

    rows: list[dict[str, Any]] = []
    for one in asked:
        outcome, before = found[one.entry_id], current[one.entry_id]
        answers = {a.category: a for a in outcome.answers} if isinstance(outcome, Resolved) else {}
        for category in sorted(answers.keys() | before.keys()):
            answer, last = answers.get(category), before.get(category)
            if not _says_the_same(answer, last):
                rows.append(
                    {
                        "entry_id": one.entry_id,
                        "item_id": one.item_id,
                        "policy_id": policy.policy_id,
                        "category": category,
                        "revision": last.revision + 1 if last else 1,
                        "value": answer.value if answer else None,
                        "weight": answer.weight if answer else 0.0,
                        "votes_for": answer.votes_for if answer else 0,
                        "votes_total": answer.votes_total if answer else 0,
                        "decided_by": answer.decided_by if answer else TAKEN_BACK,
                    }
                )
    if rows:
        tx.execute(insert(labels), rows)
    taken_back = sum(row["value"] is None for row in rows)
    return len(rows) - taken_back, taken_back


def _says_the_same(answer: Answer | None, last: Any) -> bool:
    if answer is None or last is None or last.value is None:
        return answer is None and (last is None or last.value is None)
    fields = ("value", "weight", "votes_for", "votes_total", "decided_by")
    return all(getattr(answer, name) == getattr(last, name) for name in fields)


def _state_of(outcome: Resolution) -> EntryState:
    match outcome:
        case Resolved():
            return EntryState.DONE
        case NeedsVote():
            return EntryState.DISPATCHED
        case NeedsAdjudication():
            return EntryState.ADJUDICATING
        case _:
            assert_never(outcome)


def _move(
    tx: Connection, asked: Sequence[_Asked], found: Mapping[EntryId, Resolution]
) -> tuple[int, int]:
    """Move entries to where their votes put them: (moved, blocked)."""
    together: dict[EntryState, list[EntryId]] = defaultdict(list)
    reopened: list[tuple[EntryId, EntryState]] = []
    for one in asked:
        target = _state_of(found[one.entry_id])
        if target is one.state:
            continue
        if one.state is EntryState.DONE:
            reopened.append((one.entry_id, target))
        else:
            together[target].append(one.entry_id)
    for target, entry_ids in together.items():
        tx.execute(
            update(entries)
            .where(entries.c.entry_id == func.any(entry_ids))
            .values(state=target.value)
        )
    blocked = sum(not _reopen(tx, entry_id, target) for entry_id, target in reopened)
    return sum(map(len, together.values())) + len(reopened) - blocked, blocked


def _reopen(tx: Connection, entry_id: EntryId, target: EntryState) -> bool:
    """Open a done entry again; False if its item is being asked about elsewhere meanwhile.

    One by one and under a savepoint: the one that cannot be opened must not sink the others.
    """
    try:
        with tx.begin_nested():
            tx.execute(
                update(entries).where(entries.c.entry_id == entry_id).values(state=target.value)
            )
    except IntegrityError as cause:
        if _ONE_OPEN not in str(cause.orig):
            raise
        return False
    return True
