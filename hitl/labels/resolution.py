"""When a question is decided: what the votes on one entry come to, from their values alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hitl.records import Stage, Vote

MAJORITY = "majority"
ADJUDICATION = "adjudication"


class Dispute(StrEnum):
    """Why a lead must rule."""

    TIE = "tie"  # as many say yes as no
    CANNOT_TELL = "cannot_tell"  # everybody voted and nobody could answer anything
    SKIPPED = "skipped"  # reviewers leave it alone


@dataclass(frozen=True, slots=True)
class Answer:
    """What one category came to.

    `votes_for` of `votes_total` reviewers said the same as `value`. `weight` in (0, 1] is how
    much it is trusted: their share under a majority, 1 under a lead's ruling.
    """

    category: str
    value: bool
    weight: float
    votes_for: int
    votes_total: int
    decided_by: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """Decided. A category that nobody could answer is absent, and stays unknown."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class NeedsVote:
    """`missing` more reviewers must answer first."""

    missing: int


@dataclass(frozen=True, slots=True)
class NeedsAdjudication:
    """A lead must rule; `categories` are those in dispute."""

    dispute: Dispute
    categories: tuple[str, ...]


Resolution = Resolved | NeedsVote | NeedsAdjudication


def resolve(
    votes: Sequence[Vote], *, categories: Sequence[str], votes_wanted: int, skips: int = 0
) -> Resolution:
    """What the current votes on one entry come to; their order does not matter.

    Of several votes of one reviewer in one stage the newest counts. Answers to categories that
    are not asked here are left out.

    Args:
        categories: the policy's, in its order; answers come in the same order.
        votes_wanted: how many distinct reviewers must have voted, 1 or more.
        skips: how many distinct reviewers skipped the first review and have no vote in it.

    A lead's ruling overrides every vote, also on the categories where the lead could not tell:
    those get no label. Without a ruling, a majority of those who answered decides a category.
    Two skips or more go to a lead while votes are missing, once more reviewers skipped than voted.
    """
    rulings = _newest_by_reviewer(vote for vote in votes if vote.stage is Stage.ADJUDICATION)
    reviews = _newest_by_reviewer(vote for vote in votes if vote.stage is Stage.REVIEW)
    if rulings:
        ruling = max(rulings, key=_age)
        return Resolved(
            tuple(
                _ruled(category, ruling.answers[category], reviews)
                for category in categories
                if category in ruling.answers
            )
        )
    if len(reviews) < votes_wanted:
        if skips >= 2 and skips > len(reviews):
            return NeedsAdjudication(Dispute.SKIPPED, tuple(categories))
        return NeedsVote(votes_wanted - len(reviews))

    yes_and_no = {category: _count(category, reviews) for category in categories}
    if all(yes + no == 0 for yes, no in yes_and_no.values()):
        return NeedsAdjudication(Dispute.CANNOT_TELL, tuple(categories))
    tied = tuple(category for category, (yes, no) in yes_and_no.items() if 0 < yes == no)
    if tied:
        return NeedsAdjudication(Dispute.TIE, tied)
    return Resolved(
        tuple(
            Answer(
                category=category,
                value=yes > no,
                weight=max(yes, no) / (yes + no),
                votes_for=max(yes, no),
                votes_total=yes + no,
                decided_by=MAJORITY,
            )
            for category, (yes, no) in yes_and_no.items()
            if yes + no
        )
    )


def _age(vote: Vote) -> tuple[datetime, str]:
    # The id breaks ties of the clock, so that the same votes always give the same winner.
    return vote.updated_at, vote.unique_id


def _newest_by_reviewer(votes: Iterable[Vote]) -> list[Vote]:
    return list({vote.reviewer: vote for vote in sorted(votes, key=_age)}.values())


def _count(category: str, votes: Iterable[Vote]) -> tuple[int, int]:
    said = [vote.answers[category] for vote in votes if category in vote.answers]
    return sum(said), len(said) - sum(said)


def _ruled(category: str, value: bool, reviews: Sequence[Vote]) -> Answer:
    yes, no = _count(category, reviews)
    return Answer(
        category=category,
        value=value,
        weight=1.0,
        votes_for=yes if value else no,
        votes_total=yes + no,
        decided_by=ADJUDICATION,
    )
