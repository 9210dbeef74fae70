"""What a single value means, and what it is set aside for."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.decisions import BadValue, content_hash
from hitl.decisions.values import (
    optional_moment,
    read_action,
    read_id,
    read_moment,
    read_probability,
    read_text,
    read_word,
)
from hitl.records import Action


@given(st.floats(0, 1))
def test_every_probability_comes_back_as_it_is(value: float) -> None:
    assert value == read_probability(value, "p")
    assert value == read_probability(repr(value), "p")


@given(st.floats(allow_nan=False).filter(lambda number: not 0 <= number <= 1))
def test_no_number_outside_0_and_1_passes(value: float) -> None:
    with pytest.raises(BadValue, match="between 0 and 1"):
        read_probability(value, "p")
    with pytest.raises(BadValue, match="between 0 and 1"):
        read_probability(repr(value), "p")


@pytest.mark.parametrize("value", [None, math.nan, "", "  ", "nan", "NaN", Decimal("NaN")])
def test_nothing_said_is_unknown_and_never_zero(value: Any) -> None:
    assert read_probability(value, "p") is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("inf", "is inf; a probability lies between 0 and 1"),
        (1.5, "is 1.5; a probability lies between 0 and 1"),
        (10**400, "is not between 0 and 1"),
        ("87%", "is not a number"),
        (True, "is a bool, not a number"),
        ([0.5], "is a list, not a number"),
    ],
)
def test_what_is_no_probability_says_why(value: Any, reason: str) -> None:
    with pytest.raises(BadValue) as raised:
        read_probability(value, "probabilities.hate")

    assert reason == raised.value.reason
    assert "probabilities.hate" == raised.value.field


def test_minus_zero_is_zero_so_that_it_is_the_same_payload() -> None:
    assert "0.0" == str(read_probability(-0.0, "p"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" a ", " a "),
        (17, "17"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("é" * 200, "é" * 200),
    ],
)
def test_ids_are_kept_byte_for_byte(value: Any, expected: str) -> None:
    assert expected == read_id(value, "item_id")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("  ", "is missing"),
        (math.nan, "is missing"),
        ("x" * 201, "is 201 characters long, 200 at most"),
        ("a\x00b", "holds a NUL character at position 1"),
        ("ab\udcff", "is not valid Unicode at position 2; write the source as UTF-8"),
        (12.0, "is a float; write ids as text or whole numbers"),
        (True, "is a bool; write ids as text or whole numbers"),
    ],
)
def test_what_is_no_id_says_why(value: Any, reason: str) -> None:
    with pytest.raises(BadValue) as raised:
        read_id(value, "item_id")

    assert reason == raised.value.reason


@pytest.mark.parametrize(
    "value",
    ["<script>alert(1)</script>", "a\r\nb\t\\N\\.", "👩‍👩‍👧 \u202e", "NULL", " lead", "\ufeff"],
)
def test_content_passes_untouched(value: str) -> None:
    assert value == read_text(value, "text", longest=100)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is missing"),
        ("", "is blank"),
        (" \n\t", "is blank"),
        (17, "is a int, not text"),
        (b"bytes", "is a bytes, not text"),
        (
            "x" * 5_000_000,
            "is 5,000,000 characters long, 100,000 at most "
            "(recipe.toml [intake] max_text_characters)",
        ),
        ("a\x00", "holds a NUL character at position 1"),
        ("\ud800", "is not valid Unicode at position 0; write the source as UTF-8"),
    ],
)
def test_what_is_no_content_says_why_without_quoting_it(value: Any, reason: str) -> None:
    with pytest.raises(BadValue) as raised:
        read_text(value, "text", longest=100_000)

    assert reason == raised.value.reason


@pytest.mark.parametrize(
    "value",
    [
        "2026-06-01T12:00:00Z",
        "2026-06-01T14:00:00+02:00",
        "2026-06-01 12:00",
        "20260601T120000",
        " 2026-06-01T12:00:00.000000000Z ",
        datetime(2026, 6, 1, 12),  # noqa: DTZ001 - a zoneless moment is the claim
        datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_moment_is_utc_and_without_a_zone_counts_as_utc(value: Any) -> None:
    assert datetime(2026, 6, 1, 12, tzinfo=UTC) == read_moment(value, "decided_at")


def test_a_date_is_its_midnight() -> None:
    assert datetime(2026, 6, 1, tzinfo=UTC) == read_moment(date(2026, 6, 1), "decided_at")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("yesterday", "is not a date; write ISO 8601"),
        ("now", "is not a date; write ISO 8601"),
        ("2026-06-31", "is not a date; write ISO 8601"),
        (1_790_000_000, "is a int, not a date; write ISO 8601"),
        ("0001-01-01T00:00:00+05:00", "lies outside the years 1 to 9999"),
        (None, "is missing"),
        ("", "is missing"),
    ],
)
def test_what_is_no_moment_says_why(value: Any, reason: str) -> None:
    with pytest.raises(BadValue) as raised:
        read_moment(value, "decided_at")

    assert raised.value.reason.startswith(reason)


def test_a_moment_may_be_missing_where_it_is_optional() -> None:
    assert [None, None, None] == [optional_moment(v, "at") for v in (None, " ", math.nan)]


def test_actions_go_by_the_recipes_words() -> None:
    words = {"remove": Action.BLOCK, "ok": Action.ALLOW}

    assert Action.BLOCK is read_action(" remove", "action", actions=words)
    assert read_action(None, "action", actions=words) is None
    with pytest.raises(BadValue) as raised:
        read_action("Zanzibar", "action", actions=words)
    assert (
        "is a word that recipe.toml [intake.decisions.actions] does not have (ok, remove)"
        == raised.value.reason
    )


def test_words_are_short() -> None:
    assert "en" == read_word("en", "language")
    assert read_word(" ", "language") is None
    with pytest.raises(BadValue, match="is 101 characters long, 100 at most"):
        read_word("x" * 101, "language")
    with pytest.raises(BadValue, match="is a dict, not text"):
        read_word({}, "language")


def test_one_text_in_two_normal_forms_has_one_hash() -> None:
    assert content_hash("caf\u00e9") == content_hash("cafe\u0301")
    assert content_hash("cafe") != content_hash("caf\u00e9")
    # sha256 of "abc", FIPS 180-2 appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert known == content_hash("abc")
