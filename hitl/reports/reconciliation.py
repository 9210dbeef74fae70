"""Do the books agree? Each account is two counts that come from different tables, or servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A task's place: Label Studio's numbers of its project and of itself.
TaskKey = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """One policy's counts over all its versions, each counted on its own; examples are those of
    the version asked for."""

    picks: int
    entries: int
    entries_waiting: int
    entries_dispatched: int
    entries_adjudicating: int
    entries_done: int
    entries_withdrawn: int
    entries_dead: int
    turns: int
    open_items: int
    entries_to_review: int
    entries_with_review_task: int
    annotations_submitted: int
    votes_of_newest: int
    rejects_of_newest: int
    entries_with_labels: int
    entries_done_cannot_tell: int
    entries_done_taken_back: int
    items_with_labels: int
    examples: int


@dataclass(frozen=True, slots=True)
class Here:
    """What our tables know of Label Studio: is a task still to be answered, and the annotations
    that we hold of it."""

    is_open: Mapping[TaskKey, bool]
    annotations: Mapping[TaskKey, frozenset[str]]


@dataclass(frozen=True, slots=True)
class There:
    """What Label Studio shows: the tasks that we asked for with their annotations, and how many
    others there are."""

    annotations: Mapping[TaskKey, frozenset[str]]
    foreign_tasks: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Two counts that must be equal, and what a difference would mean. Without a second count it
    is told and judges nothing."""

    name: str
    left: int
    right: int | None
    meaning: str

    @property
    def balances(self) -> bool:
        return self.right is None or self.left == self.right


def accounts(counts: Counts) -> list[Account]:
    """Every account of our own tables, in the order of the loop."""
    states = (
        counts.entries_waiting
        + counts.entries_dispatched
        + counts.entries_adjudicating
        + counts.entries_done
        + counts.entries_withdrawn
        + counts.entries_dead
    )
    unanswered = counts.entries_done_cannot_tell + counts.entries_done_taken_back
    return [
        Account("picks = entries", counts.picks, counts.entries, "a pick without its question"),
        Account("entries = sum of states", counts.entries, states, "an entry in no known state"),
        Account(
            "entries waiting = turns",
            counts.entries_waiting,
            counts.turns,
            "an entry that waits and is given to nobody",
        ),
        Account(
            "entries open = open items",
            counts.entries_waiting + counts.entries_dispatched + counts.entries_adjudicating,
            counts.open_items,
            "an item that could be asked about twice at once, or never again",
        ),
        Account(
            "entries to review = review tasks",
            counts.entries_to_review,
            counts.entries_with_review_task,
            "an entry without its task, or a task nobody asked for",
        ),
        Account(
            "submitted annotations = votes + set aside",
            counts.annotations_submitted,
            counts.votes_of_newest + counts.rejects_of_newest,
            "an answer that was neither counted nor set aside",
        ),
        Account(
            "entries done = with labels + without an answer",
            counts.entries_done,
            counts.entries_with_labels + unanswered,
            "a resolved question without labels, or labels of an open one",
        ),
        Account(
            "items with labels = examples",
            counts.items_with_labels,
            counts.examples,
            "a label that reaches no example",
        ),
        Account("done, and no lead could tell", counts.entries_done_cannot_tell, None, ""),
        Account("done, taken back, asked anew", counts.entries_done_taken_back, None, ""),
    ]


def accounts_with_label_studio(here: Here, there: There) -> list[Account]:
    """The accounts between our tables and Label Studio, task by task and annotation by annotation.

    A task that nobody waits for may be cleared out there. One that is there twice is a mistake,
    unless both were answered: an answer is never thrown away. Between a dispatch and its
    confirmation, or before the next collection, they may differ for a moment.
    """
    known, shown = set(here.is_open), set(there.annotations)
    cleared = {one for one in known - shown if not here.is_open[one]}
    answered_twice = {one for one in shown - known if there.annotations[one]}
    ours = {(key, one) for key in shown for one in here.annotations.get(key, ())}
    theirs = {(key, one) for key in shown for one in there.annotations[key]}
    return [
        Account(
            "tasks here = tasks in Label Studio",
            len(known - cleared),
            len(known & shown),
            "a lost task; `hitl collect --sweep` lets its entry wait again",
        ),
        Account(
            "tasks in Label Studio = tasks here",
            len(shown - answered_twice),
            len(known & shown),
            "a task that is there twice; `hitl collect --sweep` removes one",
        ),
        Account(
            "annotations here = annotations in Label Studio",
            len(ours),
            len(ours & theirs),
            "one that was deleted there since the last collection, or lost",
        ),
        Account(
            "annotations in Label Studio = annotations here",
            len(theirs),
            len(ours & theirs),
            "one that is not collected yet",
        ),
        Account("tasks cleared out of Label Studio", len(cleared), None, ""),
        Account("tasks answered twice", len(answered_twice), None, ""),
        Account("tasks in Label Studio not of ours", there.foreign_tasks, None, ""),
    ]
