"""Do the books agree? Each account is two counts that come from different tables, or servers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """One policy's counts, each counted on its own. Tasks and annotations only where confirmed."""

    picks: int
    entries: int
    entries_waiting: int
    entries_dispatched: int
    entries_adjudicating: int
    entries_done: int
    entries_withdrawn: int
    entries_dead: int
    entries_ever_dispatched: int
    review_tasks: int
    adjudication_tasks: int
    unconfirmed_tasks: int
    annotations_submitted: int
    annotations_skipped: int
    annotations_deleted: int
    votes_of_newest: int
    rejects_of_newest: int
    entries_with_labels: int
    items_with_labels: int
    examples: int


@dataclass(frozen=True, slots=True)
class Account:
    """Two counts that must be equal, and what a difference would mean."""

    name: str
    left: int
    right: int
    meaning: str

    @property
    def balances(self) -> bool:
        return self.left == self.right


def accounts(
    counts: Counts,
    *,
    tasks_in_label_studio: int | None = None,
    annotations_in_label_studio: int | None = None,
) -> list[Account]:
    """Every account of the loop, in its order. Label Studio's own counts join when given.

    Between a dispatch and its confirmation, or before the next collect, the Label Studio
    accounts may differ for a moment; once both have run they balance.
    """
    states = (
        counts.entries_waiting
        + counts.entries_dispatched
        + counts.entries_adjudicating
        + counts.entries_done
        + counts.entries_withdrawn
        + counts.entries_dead
    )
    tasks = counts.review_tasks + counts.adjudication_tasks
    live = counts.annotations_submitted + counts.annotations_skipped
    found = [
        Account("picks = entries", counts.picks, counts.entries, "a pick without its question"),
        Account("entries = sum of states", counts.entries, states, "an entry in no known state"),
        Account(
            "entries ever dispatched = review tasks",
            counts.entries_ever_dispatched,
            counts.review_tasks,
            "an entry without its task, or a task nobody asked for",
        ),
        Account(
            "submitted annotations = votes + set aside",
            counts.annotations_submitted,
            counts.votes_of_newest + counts.rejects_of_newest,
            "an answer that was neither counted nor set aside",
        ),
        Account(
            "entries done = entries with labels",
            counts.entries_done,
            counts.entries_with_labels,
            "a resolved question without labels, or labels of an open one",
        ),
        Account(
            "items with labels = examples",
            counts.items_with_labels,
            counts.examples,
            "a label that reaches no example",
        ),
    ]
    if tasks_in_label_studio is not None:
        found.append(
            Account(
                "tasks here = tasks in Label Studio",
                tasks,
                tasks_in_label_studio,
                "a lost or doubled task",
            )
        )
    if annotations_in_label_studio is not None:
        found.append(
            Account(
                "annotations here = annotations in Label Studio",
                live,
                annotations_in_label_studio,
                "an annotation not collected yet, or one deleted there",
            )
        )
    return found
