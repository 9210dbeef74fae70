"""Lanes by what is known of an item without a model; quotas that drop nothing silently."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hitl.queue import Facts, Opened, lane_of, routed, within_quotas
from hitl.recipe import BadRecipe, Lane, LaneMatch, recipe_from
from hitl.records import ItemId, Pick

GERMAN = Lane(name="german", match=LaneMatch(language=("de",)))
AUSTRIAN = Lane(name="austrian", match=LaneMatch(language=("de",), market=("at",)), tier=2)


def pick(item_id: str, worth: float | None = 1.0, **changed: Any) -> Pick:
    made = Pick(ItemId(item_id), "uncertain", "margin", 0, 0.5, worth=worth)
    return replace(made, **changed)


def test_the_first_lane_that_matches_takes_an_item() -> None:
    facts = Facts(language="de", market="at")

    assert AUSTRIAN == lane_of(facts, [AUSTRIAN, GERMAN], policy_name="p")
    assert GERMAN == lane_of(facts, [GERMAN, AUSTRIAN], policy_name="p")
    assert lane_of(Facts(language="en"), [GERMAN, AUSTRIAN], policy_name="p") is None


def test_every_list_of_a_lane_must_agree_and_an_empty_one_asks_nothing() -> None:
    lane = Lane(name="x", match=LaneMatch(policy=("p",), modality=("text", "image")))

    assert lane == lane_of(Facts(), [lane], policy_name="p")  # what nobody said is text
    assert lane_of(Facts(), [lane], policy_name="q") is None
    assert lane_of(Facts(modality="video"), [lane], policy_name="p") is None


def test_what_no_lane_matches_is_visible_in_a_lane_of_its_own() -> None:
    facts = {ItemId("a"): Facts(language="de", market="at"), ItemId("b"): Facts(language="en")}

    found = routed([pick("a"), pick("b"), pick("c")], facts, [AUSTRIAN], policy_name="p")

    expected = [("austrian", 2), ("unrouted", 1), ("unrouted", 1)]
    assert expected == [(one.lane, one.tier) for one in found]


def test_of_a_burst_of_a_hundred_times_the_quota_the_best_come_in_and_the_rest_is_told() -> None:
    lane = GERMAN.model_copy(update={"per_minute": 10, "per_day": 500})
    burst = [pick(f"i{k}", worth=(k + 1) / 1000, lane="german") for k in range(1000)]

    kept, out = within_quotas(burst, [lane], {"german": Opened(minute=3, hour=3, day=3)})

    assert [f"i{k}" for k in range(993, 1000)] == [one.item_id for one in kept]
    assert 993 == len(out)
    assert {("per_minute of 10 is full", 0.5)} == {
        (one.reason, one.pick.inclusion_probability) for one in out
    }


@pytest.mark.parametrize(
    ("opened", "reason"),
    [
        (Opened(minute=2, hour=2, day=2), "per_minute of 3 is full"),
        (Opened(minute=0, hour=6, day=6), "per_hour of 7 is full"),
        (Opened(minute=0, hour=0, day=10), "per_day of 11 is full"),
    ],
)
def test_the_fullest_quota_decides_and_is_named(opened: Opened, reason: str) -> None:
    lane = GERMAN.model_copy(update={"per_minute": 3, "per_hour": 7, "per_day": 11})

    kept, out = within_quotas(
        [pick("a", lane="german"), pick("b", lane="german", worth=0.9)],
        [lane],
        {"german": opened},
    )

    assert (["a"], ["b"]) == ([x.item_id for x in kept], [x.pick.item_id for x in out])
    assert reason == out[0].reason


def test_audits_come_in_whatever_the_quota_and_are_counted_first() -> None:
    lane = GERMAN.model_copy(update={"per_hour": 3})
    picks = [pick(f"a{k}", worth=None, lane="german") for k in range(2)]
    picks += [pick(f"o{k}", worth=1 - k / 10, lane="german") for k in range(3)]

    kept, _ = within_quotas(picks, [lane], {})
    full, _ = within_quotas(picks, [lane], {"german": Opened(hour=9)})

    assert ["a0", "a1", "o0"] == [one.item_id for one in kept]
    assert ["a0", "a1"] == [one.item_id for one in full]


def test_a_lane_without_a_quota_takes_all() -> None:
    kept, out = within_quotas([pick("a", lane="german")], [GERMAN], {"german": Opened(9, 9, 9)})

    assert (1, []) == (len(kept), out)


@pytest.mark.parametrize(
    ("lanes", "message"),
    [
        ([{"name": "a"}, {"name": "a"}], "two lanes are named 'a'"),
        ([{"name": "unrouted"}], "rename yours"),
    ],
)
def test_lanes_have_names_of_their_own(lanes: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BadRecipe, match=message):
        recipe_from({"queue": {"lanes": lanes}}, where="test recipe")
