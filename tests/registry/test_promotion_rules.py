"""Who may be promoted, and to whom a rollback goes back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.records import ModelState, ModelVersion
from hitl.registry import Change, NotPromotable, Verdict, check_promotion, standing

A, B = ModelVersion("a"), ModelVersion("b")


def verdict(decision: str = "promote", *, of: str = "b", beside: str | None = "a") -> Verdict:
    return Verdict(
        7, ModelVersion(of), None if beside is None else ModelVersion(beside), decision, ()
    )


def check(
    said: Verdict | None,
    *,
    state: ModelState = ModelState.CHALLENGER,
    force: bool = False,
    note: str = "",
) -> None:
    check_promotion(B, state, said, champion=A, force=force, note=note)


def test_a_challenger_that_the_gate_prefers_to_the_champion_may_go() -> None:
    check(verdict())


@pytest.mark.parametrize(
    ("said", "state", "why"),
    [
        (None, ModelState.CHALLENGER, "not judged yet"),
        (verdict("keep"), ModelState.CHALLENGER, "the gate says keep"),
        (verdict(of="c"), ModelState.CHALLENGER, "verdict 7 is about c"),
        (verdict(beside="z"), ModelState.CHALLENGER, "judged beside z, and the champion is now a"),
        (verdict(beside=None), ModelState.CHALLENGER, "judged beside no champion"),
        (verdict(), ModelState.TRAINED, "is trained, not a challenger"),
        (verdict(), ModelState.RETIRED, "`hitl rollback` alone"),
    ],
)
def test_anything_else_is_refused_with_its_reason(
    said: Verdict | None, state: ModelState, why: str
) -> None:
    with pytest.raises(NotPromotable, match=why):
        check(said, state=state)


@pytest.mark.parametrize("said", [None, verdict("keep"), verdict(beside="z")])
def test_a_person_may_take_it_on_themselves_with_a_note(said: Verdict | None) -> None:
    check(said, force=True, note="the champion blocks a whole language")

    with pytest.raises(NotPromotable, match="needs a reason"):
        check(said, force=True, note="  ")


@pytest.mark.parametrize("state", [ModelState.TRAINED, ModelState.RETIRED])
def test_force_makes_no_challenger_of_what_is_none(state: ModelState) -> None:
    with pytest.raises(NotPromotable):
        check(verdict(), state=state, force=True, note="because")


def change(kind: str, model: str) -> Change:
    return Change(kind, ModelVersion(model), None)


def test_a_second_rollback_goes_further_back_and_not_forth_again() -> None:
    changes = [change("promotion", one) for one in "abc"]

    assert ["a", "b", "c"] == standing(changes)
    assert ["a", "b"] == standing([*changes, change("rollback", "b")])
    assert ["a"] == standing([*changes, change("rollback", "b"), change("rollback", "a")])
    assert ["a", "b", "d"] == standing(
        [*changes, change("rollback", "b"), change("promotion", "d")]
    )


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.booleans(), max_size=30))
def test_the_last_one_standing_is_the_model_of_the_last_change(steps: list[bool]) -> None:
    changes: list[Change] = []
    for number, forward in enumerate(steps):
        line = standing(changes)
        if forward:
            changes.append(change("promotion", f"m{number}"))
        elif len(line) > 1:
            changes.append(change("rollback", line[-2]))

    line = standing(changes)

    assert len(set(line)) == len(line)
    assert (changes[-1].model_version if changes else None) == (line[-1] if line else None)
