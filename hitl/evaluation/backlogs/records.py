"""A backlog, a look at it, and how far each drawn item has come. Values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from hitl.records import ItemId, PolicyId

ANY = "any"

Facts = tuple[str | None, str | None, str | None, str | None]
"""Language, modality, market and surface of an item; None: nobody has said it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """By which items are taken into a backlog: one of each list that is not empty, and content that
    came from `since` on and before `until`."""

    surfaces: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    lane: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def body(self) -> dict[str, Any]:
        """As it is stored and compared."""
        return {
            "surfaces": sorted(self.surfaces),
            "languages": sorted(self.languages),
            "lane": self.lane,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Backlog:
    """A fixed population, and what is to be shown of it: `at_least` of what violates is found, with
    `confidence` over all looks together. `category` may be `any`."""

    backlog_id: int
    name: str
    policy_id: PolicyId
    category: str
    at_least: float
    confidence: float
    rule: Mapping[str, Any]
    items: int
    opened_at: datetime

    @property
    def alpha(self) -> float:
        """What all looks together may err, without the last digit of a subtraction."""
        return round(1.0 - self.confidence, 12)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Items of a backlog with an answer to its question, and those of them that violate."""

    reviewed: int
    violating: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the newest decisions say of the unreviewed: so many violate. No evidence, whoever says
    it. From `decided` of the `looked_at` items, a part of them where there are many."""

    violating: float
    decided: int
    looked_at: int


@dataclass(frozen=True, slots=True)
class Look:
    """A draw from what nobody had reviewed, and what it showed; None while it is not certified.

    `found_since` were found after the draw and beside it, `found` in all; `lost` of the drawn have
    no answer.
    """

    look: int
    seed: int
    upto_label_id: int
    unreviewed: int
    found_before: int
    drawn: int
    alpha: float
    drawn_at: datetime
    violating_in_draw: int | None
    lost: int | None
    found_since: int | None
    found: int | None
    missed_at_most: int | None
    recall_at_least: float | None
    is_certified: bool | None
    certified_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.certified_at is None


class DrawState(StrEnum):
    """How far a drawn item has come."""

    ANSWERED = "answered"
    OPEN = "open"  # in the queue, under whatever share
    BLOCKED = "blocked"  # open under another policy; to be asked once that is closed
    UNASKED = "unasked"
    LOST = "lost"  # closed without an answer that counts, or forgotten


@dataclass(frozen=True, slots=True)
class DrawnItem:
    """One drawn item. `violates` is None without an answer. `may_ask`: asking (again) may help."""

    item_id: ItemId
    rank: int
    group_id: str
    violates: bool | None
    state: DrawState
    may_ask: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What review has found in a backlog by now, seen from a look's draw.

    `found_before` of what had been reviewed by then; `found_since` beside the draw. `taken_back`:
    had an answer then and has none now. `unanswered` of what was unreviewed then still is.
    """

    found_before: int
    found_since: int
    taken_back: int
    unanswered: int
