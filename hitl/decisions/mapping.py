"""From a source's columns to items and decisions, by the recipe; what does not fit is set aside."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any, Literal

from hitl.decisions.cells import to_values
from hitl.decisions.chunks import Chunk, Column, Reject
from hitl.decisions.decided import FACTS
from hitl.decisions.errors import BadValue, NoProbabilityColumns, UnknownCategory
from hitl.decisions.values import (
    content_hash,
    optional_moment,
    read_action,
    read_id,
    read_moment,
    read_probability,
    read_rate,
    read_text,
    read_word,
)
from hitl.recipe import ContentColumns, DecisionColumns, Intake
from hitl.records import Decision, Item, ItemId, ModelVersion

Kind = Literal["decisions", "content", "both"]

_CONTENT = "intake.content"
_DECISIONS = "intake.decisions"


def wanted_columns(intake: Intake, kind: Kind, categories: Sequence[str]) -> list[Column]:
    """The columns to read, each once.

    A column that is optional may be missing from the source only while the recipe keeps its
    default name: who writes a name means it. Of the probabilities one must be there: a model
    does not know every category.

    Raises:
        UnknownCategory: a probability is mapped to a category that the policy does not have.
        NoProbabilityColumns: decisions without a single probability mapped.
    """
    wanted: list[Column] = []
    content, decisions = intake.content, intake.decisions
    if kind != "decisions":
        wanted += [
            Column(f"{_CONTENT}.item_id", content.item_id),
            Column(f"{_CONTENT}.text", content.text),
            *_optional(_CONTENT, content, "group", "created_at"),
        ]
    if kind != "content":
        unknown = [one for one in decisions.probabilities if one not in categories]
        if unknown:
            raise UnknownCategory(unknown, categories)
        if not decisions.probabilities:
            raise NoProbabilityColumns(categories)
        wanted += [
            Column(f"{_DECISIONS}.item_id", decisions.item_id),
            Column(f"{_DECISIONS}.model_version", decisions.model_version),
            Column(f"{_DECISIONS}.decided_at", decisions.decided_at),
            *_optional(_DECISIONS, decisions, "action", "views_per_hour"),
        ]
        wanted += [
            Column(
                f"{_DECISIONS}.probabilities.{category}", name, is_required=False, one_of_many=True
            )
            for category, name in decisions.probabilities.items()
        ]
    # A decision log often knows these too; a name of one's own is only owed by content.
    described = _optional(_CONTENT, content, *FACTS)
    if kind == "decisions":
        described = [Column(one.key, one.name, is_required=False) for one in described]
    return _each_once(wanted + described)


def _optional(table: str, columns: ContentColumns | DecisionColumns, *names: str) -> list[Column]:
    found = []
    for name in names:
        column = getattr(columns, name)
        if column is not None:
            is_own = column != type(columns).model_fields[name].default
            found.append(Column(f"{table}.{name}", column, is_required=is_own))
    return found


def _each_once(wanted: list[Column]) -> list[Column]:
    # Required goes before optional, so that a column with both uses is required.
    by_name: dict[str, Column] = {}
    for column in sorted(wanted, key=lambda one: (not one.is_required, not one.one_of_many)):
        by_name.setdefault(column.name, column)
    return list(by_name.values())


def map_contents(
    chunk: Chunk, columns: ContentColumns, *, max_text_characters: int
) -> tuple[list[Item], list[Reject]]:
    """Items with their text, in the order of the rows, and what was set aside."""
    wide = [
        _values(chunk, name)
        for name in (
            columns.item_id,
            columns.text,
            columns.group,
            columns.created_at,
            *(getattr(columns, name) for name in FACTS),
        )
    ]
    items: list[Item] = []
    rejects: list[Reject] = []
    for line, item_id, text, group, created_at, *facts in zip(chunk.lines, *wide, strict=True):
        try:
            body = read_text(text, "text", longest=max_text_characters)
            language, surface, market, modality = map(read_word, facts, FACTS)
            items.append(
                Item(
                    item_id=ItemId(read_id(item_id, "item_id")),
                    text=body,
                    content_hash=content_hash(body),
                    group_id=None if _is_blank(group) else read_id(group, "group"),
                    created_at=optional_moment(created_at, "created_at"),
                    language=language,
                    surface=surface,
                    market=market,
                    modality=modality,
                )
            )
        except BadValue as bad:
            rejects.append(Reject(line, bad.field, bad.reason))
    return items, rejects


def map_decisions(
    chunk: Chunk, columns: DecisionColumns, *, about: ContentColumns, shadows: Sequence[str] = ()
) -> tuple[list[Decision], list[Item], list[float | None], list[Reject]]:
    """Decisions in the order of the rows; of each its item, and by how many it is seen an hour;
    and what was set aside.

    `about` names the columns that say what an item is, which many decision logs have as well.
    `shadows` are globs; a model version that one matches only runs along.
    """
    rejects: list[Reject] = []
    decisions: list[Decision] = []
    stubs: list[Item] = []
    reaches: list[float | None] = []
    wide = [
        _values(chunk, name)
        for name in (
            columns.item_id,
            columns.model_version,
            columns.decided_at,
            columns.action,
            columns.views_per_hour,
            *(getattr(about, name) for name in FACTS),
        )
    ]
    fields = [(one, f"probabilities.{one}") for one in columns.probabilities]
    scores = zip(*[_values(chunk, name) for name in columns.probabilities.values()], strict=True)
    if not fields:
        scores = iter([()] * len(chunk.lines))  # type: ignore[assignment]
    for line, score, item_id, version, decided_at, action, views, *facts in zip(
        chunk.lines, scores, *wide, strict=True
    ):
        try:
            found = ItemId(read_id(item_id, "item_id"))
            probabilities = {
                category: number
                for (category, field), value in zip(fields, score, strict=True)
                if (number := read_probability(value, field)) is not None
            }
            model_version = ModelVersion(read_id(version, "model_version"))
            decision = Decision(
                item_id=found,
                model_version=model_version,
                decided_at=read_moment(decided_at, "decided_at"),
                action=read_action(action, "action", actions=columns.actions),
                probabilities=probabilities,
                is_shadow=is_shadow(model_version, shadows),
            )
            language, surface, market, modality = map(read_word, facts, FACTS)
            stub = Item(found, language=language, surface=surface, market=market, modality=modality)
            seen_by = read_rate(views, "views_per_hour")
        except BadValue as bad:
            rejects.append(Reject(line, bad.field, bad.reason))
        else:
            decisions.append(decision)
            stubs.append(stub)
            reaches.append(seen_by)
    return decisions, stubs, reaches, rejects


def _values(chunk: Chunk, name: str | None) -> Sequence[Any]:
    if name is None or name not in chunk.columns:
        return [None] * len(chunk.lines)
    return to_values(chunk.columns[name])


def is_shadow(model_version: str | None, shadows: Sequence[str]) -> bool:
    """Whether one of the globs names this version."""
    return any(fnmatch.fnmatchcase(model_version or "", one) for one in shadows)


def _is_blank(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())
