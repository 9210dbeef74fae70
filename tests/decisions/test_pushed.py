"""Rows that are pushed: read by our own words, each accounted for, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.decisions import Pushed, map_pushed
from hitl.records import Action

CANARY = "quokka-canary-7731"


def row(**changed: Any) -> dict[str, Any]:
    """A decision as a producer pushes it."""
    made = {
        "item_id": "i1",
        "model_version": "m1",
        "decided_at": "2026-06-01T12:00:00Z",
        "action": "review",
        "probabilities": {"hate": 0.5},
    }
    return {key: value for key, value in (made | changed).items() if value != "LEFT OUT"}


def read(*rows: Any) -> Pushed:
    return map_pushed(list(rows), categories=["hate", "spam"], max_text_characters=100)


def faults(*rows: Any) -> list[tuple[int, str, str]]:
    return [(one.line, one.field, one.reason) for one in read(*rows).mapped.rejects]


def test_a_decision_says_which_probabilities_it_knows() -> None:
    found = read(row(probabilities={"hate": 0.5, "spam": None}), row(probabilities={"spam": 1}))

    assert [{"hate": 0.5}, {"spam": 1.0}] == [one.probabilities for one in found.mapped.decisions]
    assert [Action.REVIEW] * 2 == [one.action for one in found.mapped.decisions]
    assert ["i1", "i1"] == [one.item_id for one in found.mapped.stubs]


def test_a_row_may_bring_content_alone_or_with_its_decision() -> None:
    found = read({"item_id": "i1", "text": "a", "group": "g"}, row(item_id="i2", text="b")).mapped

    assert [("i1", "a", "g"), ("i2", "b", None)] == [
        (one.item_id, one.text, one.group_id) for one in found.items
    ]
    assert ["i2"] == [one.item_id for one in found.decisions]
    assert ([], 0) == (found.rejects, found.rejected_rows)


def test_a_model_that_only_runs_along_is_known_by_the_recipes_globs() -> None:
    found = map_pushed(
        [row(), row(model_version="m2-shadow")],
        categories=["hate"],
        max_text_characters=100,
        shadows=["*-shadow"],
    )

    assert [("m1", False), ("m2-shadow", True)] == [
        (one.model_version, one.is_shadow) for one in found.mapped.decisions
    ]


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (CANARY, "row", "is a str, not an object"),
        (row(item_id=None), "item_id", "is missing"),
        (row(model_version="LEFT OUT"), "model_version", "is missing"),
        (row(decided_at=CANARY), "decided_at", "is not a date"),
        (row(decided_at=1780315200), "decided_at", "is a int, not a date"),
        (row(action=CANARY), "action", "is a word that"),
        (row(probabilities="LEFT OUT"), "probabilities", "is missing"),
        (row(probabilities=[0.5]), "probabilities", "is a list; write an object"),
        (row(probabilities={"hat": 0.5}), "probabilities", "has none of hate, spam"),
        (row(probabilities={"hate": 1.5}), "probabilities.hate", "a probability lies between"),
        (row(probabilities={"hate": CANARY}), "probabilities.hate", "is not a number"),
        ({"item_id": "i1"}, "probabilities", "is missing"),
        ({"item_id": "i1", "text": "x" * 101}, "text", "is 101 characters long, 100 at most"),
        ({"item_id": "i1", "text": "\ud800"}, "text", "is not valid Unicode at position 0"),
        ({"item_id": "i\x00", "text": "x"}, "item_id", "holds a NUL character"),
    ],
)
def test_a_bad_row_is_set_aside_by_its_position_and_the_rest_is_taken(
    bad: Any, field: str, reason: str
) -> None:
    found = faults(row(), bad, row())

    assert [(2, field)] == [one[:2] for one in found]
    assert reason in found[0][2]
    assert CANARY not in found[0][2]
    assert 2 == len(read(row(), bad, row()).mapped.decisions)


def test_names_that_nobody_reads_are_told_unless_they_might_be_content() -> None:
    odd = {"languge": "en", f"{CANARY} said so": 1, "x" * 41: 1}

    found = read(row(**odd, probabilities={"hate": 0.5, "hat": 0.5, f"{CANARY} !": 0.1}))

    assert ("languge", "probabilities.hat") == found.ignored


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
_FIELDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        [
            *row(),
            "text",
            "group",
            "language",
            "surface",
            "created_at",
            "market",
            "modality",
            "views_per_hour",
        ],
        _JSON | st.sampled_from(["i1", "m1", "2026-06-01", "allow"]),
    ),
)


@given(st.lists(_JSON | _FIELDS | st.just(row()), min_size=1, max_size=6))
def test_whatever_is_pushed_every_row_is_taken_or_set_aside(rows: list[Any]) -> None:
    rows = json.loads(json.dumps(rows))

    found = read(*rows).mapped

    bad = {one.line for one in found.rejects}
    taken = {id(one) for one in (*found.items, *found.decisions)}
    assert len(bad) == found.rejected_rows
    assert len(rows) <= len(bad) + len(taken)
    assert found.rejected_items + found.rejected_decisions >= len(bad)
    assert len(found.decisions) == len(found.stubs)
