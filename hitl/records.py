"""The nouns that more than one room speaks of. Frozen, without behaviour beyond their own shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

ItemId = NewType("ItemId", str)
EntryId = NewType("EntryId", int)
BatchId = NewType("BatchId", str)
PolicyId = NewType("PolicyId", str)
ModelVersion = NewType("ModelVersion", str)
SnapshotId = NewType("SnapshotId", str)

UNROUTED = "unrouted"
"""The lane of what no lane of the recipe matches."""


class Action(StrEnum):
    """What was done, or is to be done, with an item."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


class EntryState(StrEnum):
    """Where a queue entry is. The database enforces which moves are legal (`entry_moves`)."""

    WAITING = "waiting"  # chosen, not yet in Label Studio
    DISPATCHED = "dispatched"  # a reviewer can be served it
    ADJUDICATING = "adjudicating"  # reviewers disagree; waits for a lead
    DONE = "done"  # resolved into labels
    WITHDRAWN = "withdrawn"  # taken back before it was resolved
    DEAD = "dead"  # could not be dispatched or resolved; a person must look


class Stage(StrEnum):
    """Which question Label Studio asks: the first review, or a lead's ruling on a disagreement."""

    REVIEW = "review"
    ADJUDICATION = "adjudication"


class AnnotationKind(StrEnum):
    """What a stored annotation version says."""

    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    DELETED = "deleted"


class ModelState(StrEnum):
    """A model version's life. One champion a policy."""

    TRAINED = "trained"
    CHALLENGER = "challenger"
    CHAMPION = "champion"
    RETIRED = "retired"


class Split(StrEnum):
    """A group's side: the training side is learned from, the measuring side only judges."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of content. `text` is None while only its decisions have arrived.

    `group_id` ties what must not be torn apart by a split (near copies, one creator's posts).
    """

    item_id: ItemId
    text: str | None = None
    content_hash: str | None = None
    language: str | None = None
    surface: str | None = None
    group_id: str | None = None
    created_at: datetime | None = None
    market: str | None = None
    modality: str | None = None  # None: text


@dataclass(frozen=True, slots=True)
class Decision:
    """What one model version said of one item, and what was done.

    `probabilities` maps category to a number in [0, 1]; a category the model does not know is
    absent, never zero. A shadow's decision is on record only: nobody acted on it.
    """

    item_id: ItemId
    model_version: ModelVersion
    decided_at: datetime
    action: Action | None
    probabilities: Mapping[str, float]
    is_shadow: bool = False


@dataclass(frozen=True, slots=True)
class Pick:
    """One chosen item of a batch, with the probability it had of being chosen.

    `inclusion_probability` is None where the strategy has none: such a label trains, and never
    measures. `worth` in (0, 1] is what asking teaches beside the other picks of its share; None for
    an audit, whose place in the queue owes nothing to any score. `stands_for` is how many items its
    answer counts for, itself and near copies that were drawn with it. An `allocated` audit's
    probability is that of being drawn, asked or not.
    """

    item_id: ItemId
    share: str
    strategy: str
    rank: int
    inclusion_probability: float | None
    worth: float | None = None
    lane: str = UNROUTED
    tier: int = 1
    stands_for: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A question in the queue: one item, under one policy, until it is resolved."""

    entry_id: EntryId
    item_id: ItemId
    batch_id: BatchId
    policy_id: PolicyId
    state: EntryState
    priority: float
    votes_wanted: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Annotation:
    """One version of what a reviewer submitted in Label Studio. Key: (unique_id, updated_at)."""

    unique_id: str
    updated_at: datetime
    created_at: datetime
    kind: AnnotationKind
    task_id: int
    project_id: int
    entry_id: EntryId
    stage: Stage
    reviewer: str
    result: list[dict[str, Any]] = field(default_factory=list)
    lead_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """An annotation as counted: per category yes, no, or absent (the reviewer cannot tell)."""

    unique_id: str
    updated_at: datetime
    entry_id: EntryId
    stage: Stage
    reviewer: str
    answers: Mapping[str, bool]
    severity: int | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """The resolved answer to one question: does this item violate this category? Append-only."""

    entry_id: EntryId
    item_id: ItemId
    policy_id: PolicyId
    category: str
    value: bool
    weight: float
    votes_for: int
    votes_total: int
    decided_by: str


@dataclass(frozen=True, slots=True)
class Example:
    """An item with what is known of it, as training and evaluation see it.

    `labels` maps category to 1.0 or 0.0; a category nobody answered is absent. `weight` is how
    much the label is trusted; `inclusion_probability` is how likely the item was to be chosen.
    They are different things and are kept apart.
    """

    item_id: ItemId
    text: str
    labels: Mapping[str, float]
    group_id: str
    split: Split
    weight: float = 1.0
    inclusion_probability: float | None = None
    language: str | None = None
    surface: str | None = None
