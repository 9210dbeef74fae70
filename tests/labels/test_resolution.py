"""What votes come to, by hand and by property."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.labels import (
    Answer,
    Dispute,
    NeedsAdjudication,
    NeedsVote,
    Resolved,
    resolve,
)
from hitl.records import EntryId, Stage, Vote
from tests.builders import NOON

CATEGORIES = ("hate", "spam")


def make_vote(
    reviewer: str = "ana",
    answers: dict[str, bool] | None = None,
    *,
    stage: Stage = Stage.REVIEW,
    minutes: int = 0,
) -> Vote:
    return Vote(
        unique_id=f"{stage.value}-{reviewer}-{minutes}",
        updated_at=NOON + timedelta(minutes=minutes),
        entry_id=EntryId(1),
        stage=stage,
        reviewer=reviewer,
        answers={"hate": False, "spam": False} if answers is None else answers,
    )


def ruling(answers: dict[str, bool], *, reviewer: str = "lead", minutes: int = 60) -> Vote:
    return make_vote(reviewer, answers, stage=Stage.ADJUDICATION, minutes=minutes)


def test_one_vote_decides_every_category_where_one_is_wanted() -> None:
    votes = [make_vote("ana", {"hate": True, "spam": False})]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=1)

    assert (
        Resolved(
            (
                Answer("hate", True, 1.0, 1, 1, "majority"),
                Answer("spam", False, 1.0, 1, 1, "majority"),
            )
        )
        == found
    )


def test_two_of_three_decide_and_the_weight_is_their_share() -> None:
    votes = [
        make_vote("ana", {"hate": True, "spam": False}),
        make_vote("ben", {"hate": True, "spam": False}),
        make_vote("cleo", {"hate": False, "spam": False}),
    ]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=3)

    assert (
        Resolved(
            (
                Answer("hate", True, 2 / 3, 2, 3, "majority"),
                Answer("spam", False, 1.0, 3, 3, "majority"),
            )
        )
        == found
    )


@pytest.mark.parametrize(("votes_wanted", "missing"), [(1, 1), (2, 2), (9, 9)])
def test_nothing_said_yet_needs_every_vote(votes_wanted: int, missing: int) -> None:
    found = resolve([], categories=CATEGORIES, votes_wanted=votes_wanted)

    assert NeedsVote(missing) == found


def test_a_reviewer_who_answers_twice_counts_once_with_the_newest_answer() -> None:
    votes = [
        make_vote("ana", {"hate": True, "spam": True}, minutes=0),
        make_vote("ana", {"hate": False, "spam": False}, minutes=5),
    ]

    assert NeedsVote(1) == resolve(votes, categories=CATEGORIES, votes_wanted=2)
    alone = resolve(votes, categories=("hate",), votes_wanted=1)
    assert Resolved((Answer("hate", False, 1.0, 1, 1, "majority"),)) == alone


def test_a_tie_in_one_category_goes_to_a_lead_with_its_name() -> None:
    votes = [
        make_vote("ana", {"hate": True, "spam": False}),
        make_vote("ben", {"hate": False, "spam": False}),
    ]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=2)

    assert NeedsAdjudication(Dispute.TIE, ("hate",)) == found


def test_cannot_tell_is_no_vote_on_that_category_and_breaks_no_tie() -> None:
    votes = [
        make_vote("ana", {"hate": True}),
        make_vote("ben", {"spam": False}),
    ]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=2)

    assert (
        Resolved(
            (
                Answer("hate", True, 1.0, 1, 1, "majority"),
                Answer("spam", False, 1.0, 1, 1, "majority"),
            )
        )
        == found
    )


def test_a_category_that_nobody_could_tell_stays_unknown() -> None:
    votes = [make_vote("ana", {"spam": True}), make_vote("ben", {"spam": True})]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=2)

    assert Resolved((Answer("spam", True, 1.0, 2, 2, "majority"),)) == found


def test_votes_of_people_who_could_tell_nothing_go_to_a_lead() -> None:
    votes = [make_vote("ana", {}), make_vote("ben", {})]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=2)

    assert NeedsAdjudication(Dispute.CANNOT_TELL, CATEGORIES) == found


@pytest.mark.parametrize(
    ("voters", "skips", "expected"),
    [
        (0, 0, NeedsVote(3)),
        (0, 1, NeedsVote(3)),
        (0, 2, NeedsAdjudication(Dispute.SKIPPED, CATEGORIES)),
        (1, 2, NeedsAdjudication(Dispute.SKIPPED, CATEGORIES)),
        (2, 2, NeedsVote(1)),
    ],
)
def test_skips_go_to_a_lead_once_they_outnumber_the_votes(
    voters: int, skips: int, expected: NeedsVote | NeedsAdjudication
) -> None:
    votes = [make_vote(f"r{k}") for k in range(voters)]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=3, skips=skips)

    assert expected == found


def test_skips_do_not_hold_back_enough_votes() -> None:
    found = resolve([make_vote("ana")], categories=CATEGORIES, votes_wanted=1, skips=5)

    assert isinstance(found, Resolved)


def test_a_ruling_overrides_a_unanimous_vote_with_full_weight() -> None:
    votes = [
        make_vote("ana", {"hate": True, "spam": False}),
        make_vote("ben", {"hate": True, "spam": False}),
        ruling({"hate": False, "spam": False}),
    ]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=2)

    assert (
        Resolved(
            (
                Answer("hate", False, 1.0, 0, 2, "adjudication"),
                Answer("spam", False, 1.0, 2, 2, "adjudication"),
            )
        )
        == found
    )


def test_a_lead_who_cannot_tell_either_leaves_the_category_unknown() -> None:
    votes = [make_vote("ana", {"hate": True, "spam": True}), ruling({"spam": True})]

    found = resolve(votes, categories=CATEGORIES, votes_wanted=1)

    assert Resolved((Answer("spam", True, 1.0, 1, 1, "adjudication"),)) == found


def test_of_two_rulings_the_newest_stands() -> None:
    votes = [
        ruling({"hate": True}, reviewer="lead", minutes=60),
        ruling({"hate": False}, reviewer="other lead", minutes=61),
    ]

    found = resolve(votes, categories=("hate",), votes_wanted=1)

    assert Resolved((Answer("hate", False, 1.0, 0, 0, "adjudication"),)) == found


def test_answers_to_categories_that_are_not_asked_are_left_out() -> None:
    votes = [make_vote("ana", {"hate": True, "retired_category": True})]

    found = resolve(votes, categories=("hate",), votes_wanted=1)

    assert Resolved((Answer("hate", True, 1.0, 1, 1, "majority"),)) == found


answers_of_one = st.dictionaries(st.sampled_from(CATEGORIES), st.booleans())
some_votes = st.lists(
    st.builds(
        make_vote,
        st.sampled_from(["ana", "ben", "cleo", "dov"]),
        answers_of_one,
        stage=st.sampled_from([Stage.REVIEW, Stage.REVIEW, Stage.REVIEW, Stage.ADJUDICATION]),
        minutes=st.integers(0, 3),
    ),
    max_size=8,
    unique_by=lambda vote: vote.unique_id,
)


@settings(max_examples=200, deadline=None)
@given(votes=some_votes, wanted=st.integers(1, 4), skips=st.integers(0, 3), data=st.data())
def test_the_order_of_votes_does_not_matter(
    votes: list[Vote], wanted: int, skips: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(votes))

    expected = resolve(votes, categories=CATEGORIES, votes_wanted=wanted, skips=skips)
    found = resolve(shuffled, categories=CATEGORIES, votes_wanted=wanted, skips=skips)

    assert expected == found


@settings(max_examples=200, deadline=None)
@given(votes=some_votes, wanted=st.integers(1, 4))
def test_swapping_yes_and_no_everywhere_swaps_every_answer_and_nothing_else(
    votes: list[Vote], wanted: int
) -> None:
    swapped = [
        make_vote(
            vote.reviewer,
            {category: not said for category, said in vote.answers.items()},
            stage=vote.stage,
            minutes=round((vote.updated_at - NOON).total_seconds() / 60),
        )
        for vote in votes
    ]

    first = resolve(votes, categories=CATEGORIES, votes_wanted=wanted)
    second = resolve(swapped, categories=CATEGORIES, votes_wanted=wanted)

    if isinstance(first, Resolved):
        assert isinstance(second, Resolved)
        assert [(one.category, not one.value, one.weight) for one in first.answers] == [
            (one.category, one.value, one.weight) for one in second.answers
        ]
    else:
        assert first == second


@settings(max_examples=200, deadline=None)
@given(votes=some_votes, wanted=st.integers(1, 4))
def test_a_majority_is_more_than_half_and_its_weight_says_so(
    votes: list[Vote], wanted: int
) -> None:
    found = resolve(votes, categories=CATEGORIES, votes_wanted=wanted)

    for answer in found.answers if isinstance(found, Resolved) else ():
        if answer.decided_by == "majority":
            assert 0.5 < answer.weight <= 1.0
            assert answer.votes_for / answer.votes_total == answer.weight


@settings(max_examples=200, deadline=None)
@given(votes=some_votes, wanted=st.integers(1, 4))
def test_one_more_vote_with_the_majority_never_changes_an_answer(
    votes: list[Vote], wanted: int
) -> None:
    found = resolve(votes, categories=CATEGORIES, votes_wanted=wanted)
    if not isinstance(found, Resolved):
        return
    agreeing = make_vote("newcomer", {one.category: one.value for one in found.answers})

    after = resolve([*votes, agreeing], categories=CATEGORIES, votes_wanted=wanted)

    assert isinstance(after, Resolved)
    assert [(one.category, one.value) for one in found.answers] == [
        (one.category, one.value) for one in after.answers
    ]
