"""From columns to items and decisions: what is taken, what is set aside, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.decisions import (
    Chunk,
    NoProbabilityColumns,
    Reject,
    UnknownCategory,
    content_hash,
    map_chunk,
    wanted_columns,
)
from hitl.decisions.values import Unreadable
from hitl.recipe import Intake, Recipe, recipe_from
from hitl.records import Action, Decision, Item, ItemId, ModelVersion

NOON = "2026-06-01T12:00:00Z"
AT_NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
CATEGORIES = ("hate", "spam")
I1 = ItemId("i1")


def make_intake(**changed: Any) -> Intake:
    body = {"decisions": {"probabilities": {"hate": "score_hate", "spam": "score_spam"}}}
    return Intake.model_validate(body | changed)


def make_row(**changed: Any) -> dict[str, Any]:
    return {
        "content_id": "i1",
        "text": "hello",
        "language": "en",
        "surface": "posts",
        "created_at": NOON,
        "model_version": "m1",
        "score_hate": 0.5,
        "score_spam": 0.25,
        "predicted_action": "allow",
    } | changed


def make_chunk(*rows: dict[str, Any]) -> Chunk:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Chunk(columns, list(range(1, len(rows) + 1)))


def test_a_row_of_both_becomes_an_item_and_a_decision() -> None:
    mapped = map_chunk(make_chunk(make_row()), make_intake(), "both")

    item = Item(I1, "hello", content_hash("hello"), "en", "posts", None, AT_NOON)
    decision = Decision(I1, ModelVersion("m1"), AT_NOON, Action.ALLOW, {"hate": 0.5, "spam": 0.25})
    assert [item] == mapped.items
    assert [decision] == mapped.decisions
    assert [Item(I1, language="en", surface="posts")] == mapped.stubs
    assert [] == mapped.rejects


def test_a_category_without_probability_is_absent_and_a_row_may_have_none_at_all() -> None:
    rows = [
        make_row(score_hate=None),
        make_row(score_hate=float("nan"), score_spam=None),
        make_row(score_hate="", score_spam="0.25"),
    ]

    mapped = map_chunk(make_chunk(*rows), make_intake(), "decisions")

    said = [one.probabilities for one in mapped.decisions]
    assert [{"spam": 0.25}, {}, {"spam": 0.25}] == said


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=20))
def test_every_row_is_taken_in_or_set_aside_and_never_both(scores: list[float | None]) -> None:
    chunk = make_chunk(*(make_row(content_id=f"i{k}", score_hate=v) for k, v in enumerate(scores)))

    mapped = map_chunk(chunk, make_intake(), "decisions")

    taken = {one.item_id for one in mapped.decisions}
    aside = {f"i{one.line - 1}" for one in mapped.rejects}
    assert {f"i{k}" for k in range(len(scores))} == taken | aside
    assert set() == taken & aside
    assert len(aside) == mapped.rejected_decisions
    assert all(0 <= p <= 1 for one in mapped.decisions for p in one.probabilities.values())


def test_each_fault_names_its_line_and_field() -> None:
    rows = [
        make_row(),
        make_row(content_id=None),
        make_row(content_id="x" * 201),
        make_row(score_hate=1.01),
        make_row(model_version=""),
        make_row(created_at="soon"),
        make_row(created_at=None),
        make_row(predicted_action="explode"),
        make_row(language="x" * 101),
    ]

    mapped = map_chunk(make_chunk(*rows), make_intake(), "decisions")

    assert [
        (2, "item_id"),
        (3, "item_id"),
        (4, "probabilities.hate"),
        (5, "model_version"),
        (6, "decided_at"),
        (7, "decided_at"),
        (8, "action"),
        (9, "language"),
    ] == [(one.line, one.field) for one in mapped.rejects]
    assert 1 == len(mapped.decisions) == len(mapped.stubs)
    assert 8 == mapped.rejected_decisions


def test_bad_content_does_not_cost_the_decision_beside_it_nor_the_other_way_round() -> None:
    rows = [make_row(text="x" * 30), make_row(content_id="i2", score_hate=7)]

    mapped = map_chunk(make_chunk(*rows), make_intake(max_text_characters=20), "both")

    assert ["i2"] == [one.item_id for one in mapped.items]
    assert ["i1"] == [one.item_id for one in mapped.decisions]
    assert (1, 1) == (mapped.rejected_items, mapped.rejected_decisions)


def test_one_bad_id_in_a_row_of_both_is_one_reject() -> None:
    mapped = map_chunk(make_chunk(make_row(content_id=None)), make_intake(), "both")

    assert [Reject(1, "item_id", "is missing")] == mapped.rejects
    assert (1, 1) == (mapped.rejected_items, mapped.rejected_decisions)


def test_a_row_with_faults_of_both_kinds_is_one_row_set_aside() -> None:
    rows = [make_row(text=" ", score_hate=7), make_row(), make_row(text=None)]

    mapped = map_chunk(make_chunk(*rows), make_intake(), "both")

    assert (2, 1, 2) == (mapped.rejected_items, mapped.rejected_decisions, mapped.rejected_rows)


def test_lines_that_could_not_be_read_count_as_rejected() -> None:
    chunk = Chunk({"content_id": ["i1"], "text": ["x"]}, [2], [Reject(1, "line", "is not JSON")])

    mapped = map_chunk(chunk, make_intake(), "content")

    assert 1 == mapped.rejected_items
    assert [Reject(1, "line", "is not JSON")] == mapped.rejects


def test_reasons_never_repeat_a_value() -> None:
    canary = "canary9"
    fields = [
        "content_id", "text", "language", "surface", "created_at", "model_version", "score_hate",
        "predicted_action",
    ]  # fmt: skip
    spoilt = [
        Unreadable("is not valid"),
        canary + "\x00",
        [canary],
        {canary: canary},
        canary.encode(),
        canary * 100,
    ]
    rows = [make_row(**{name: value}) for name in fields for value in spoilt]

    mapped = map_chunk(make_chunk(*rows), make_intake(max_text_characters=100), "both")

    assert len(rows) <= len(mapped.rejects)
    assert [] == [one for one in mapped.rejects if canary in one.reason + one.field]


def test_a_group_is_kept_and_a_blank_one_is_none() -> None:
    intake = make_intake(content={"group": "author"})
    rows = [make_row(author="ann"), make_row(author=" "), make_row(author=None)]

    mapped = map_chunk(make_chunk(*rows), intake, "content")

    assert ["ann", None, None] == [one.group_id for one in mapped.items]


def test_the_columns_to_read_follow_from_the_recipe() -> None:
    intake = make_intake()

    def names(kind: Any) -> list[tuple[str, bool]]:
        return sorted((c.name, c.is_required) for c in wanted_columns(intake, kind, CATEGORIES))

    assert [
        ("content_id", True),
        ("created_at", False),
        ("language", False),
        ("surface", False),
        ("text", True),
    ] == names("content")
    assert [
        ("content_id", True),
        ("created_at", True),
        ("language", False),
        ("model_version", True),
        ("predicted_action", False),
        ("score_hate", False),
        ("score_spam", False),
        ("surface", False),
    ] == names("decisions")
    of_many = {c.name for c in wanted_columns(intake, "both", CATEGORIES) if c.one_of_many}
    assert {"score_hate", "score_spam"} == of_many
    assert 9 == len(names("both"))


def test_a_column_that_the_recipe_names_itself_is_owed() -> None:
    intake = make_intake(content={"group": "author", "language": "lang", "created_at": None})

    content = {c.name: c.is_required for c in wanted_columns(intake, "content", CATEGORIES)}
    decisions = {c.name: c.is_required for c in wanted_columns(intake, "decisions", CATEGORIES)}

    assert {
        "content_id": True, "text": True, "author": True, "lang": True, "surface": False,
    } == content  # fmt: skip
    assert decisions["lang"] is False


def test_what_is_owed_stays_the_same_when_the_recipe_comes_back_from_the_database() -> None:
    recipe = Recipe(intake=make_intake())

    again = recipe_from(recipe.model_dump(mode="json"), where="test")

    assert wanted_columns(recipe.intake, "both", CATEGORIES) == wanted_columns(
        again.intake, "both", CATEGORIES
    )


def test_a_category_that_the_policy_does_not_have_is_refused() -> None:
    intake = make_intake(decisions={"probabilities": {"hate": "h", "violence": "v"}})

    with pytest.raises(UnknownCategory) as raised:
        wanted_columns(intake, "decisions", CATEGORIES)

    assert (
        "recipe.toml [intake.decisions.probabilities]: unknown category 'violence'; the policy "
        "has hate, spam. Mend the spelling, remove the line, or add the category to policy.toml"
    ) == str(raised.value)
    assert wanted_columns(intake, "content", CATEGORIES)


def test_a_recipe_without_any_probability_is_refused_for_decisions() -> None:
    with pytest.raises(NoProbabilityColumns, match='such as hate = "score_hate"'):
        wanted_columns(Intake(), "decisions", CATEGORIES)
    assert wanted_columns(Intake(), "content", CATEGORIES)
