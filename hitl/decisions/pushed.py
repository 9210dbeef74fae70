"""Rows that a producer pushes, in our own words: the same reading as a file's, without a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hitl.decisions.chunks import Chunk, Reject
from hitl.decisions.columns import map_decided
from hitl.decisions.decided import FACTS
from hitl.decisions.errors import LOOKS_LIKE_A_NAME
from hitl.decisions.mapped import Mapped
from hitl.decisions.mapping import map_contents
from hitl.recipe import ContentColumns, DecisionColumns
from hitl.records import Action

# A contract with producers: what the recipe calls the columns of a file does not move it.
_CONTENT = ContentColumns(item_id="item_id", group="group", market="market", modality="modality")
_CONTENT_FIELDS = ("item_id", "text", "group", "created_at", *FACTS)
_DECISION_FIELDS = ("model_version", "decided_at", "action", "probabilities")
_SEEN_BY = "views_per_hour"
_KNOWN = frozenset((*_CONTENT_FIELDS, *_DECISION_FIELDS, _SEEN_BY))
_ACTIONS = {one.value: one for one in Action} | {"remove": Action.BLOCK}
_NAMES_TOLD = 20


@dataclass(frozen=True, slots=True)
class Pushed:
    """What the rows say; `line` of a reject is the row's position, counted from 1.

    `ignored` names fields and categories that nobody reads, of those that look like names.
    """

    mapped: Mapped
    ignored: tuple[str, ...]


def map_pushed(
    rows: Sequence[Any],
    *,
    categories: Sequence[str],
    max_text_characters: int,
    shadows: Sequence[str] = (),
) -> Pushed:
    """Read every row: a decision, content, or both at once.

    A row is a decision if it has a field of one, or no text. It must then know at least one
    category of the policy. What is malformed is set aside with its position and reason. `shadows`
    are globs; a model version that one matches only runs along.
    """
    rejects: list[Reject] = []
    ignored: dict[str, None] = {}
    contents: list[tuple[int, Mapping[str, Any]]] = []
    decided: list[tuple[int, Mapping[str, Any]]] = []
    rejected_decisions = rejected_rows = 0
    for line, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            why = f"is a {type(row).__name__}, not an object"
            rejects.append(Reject(line, "row", why))
            rejected_rows += 1
            continue
        ignored.update(dict.fromkeys(name for name in row if name not in _KNOWN))
        has_text = row.get("text") is not None
        if has_text:
            contents.append((line, row))
        if not has_text or any(row.get(name) is not None for name in _DECISION_FIELDS):
            bad = _bad_probabilities(row, line, categories, ignored)
            if bad is None:
                decided.append((line, row))
            else:
                rejects.append(bad)
                rejected_decisions += 1
    items, bad_items = map_contents(
        _chunk(contents, _CONTENT_FIELDS, ()), _CONTENT, max_text_characters=max_text_characters
    )
    found, bad_decisions = map_decided(
        _chunk(decided, (*_CONTENT_FIELDS, *_DECISION_FIELDS, _SEEN_BY), categories),
        DecisionColumns(
            item_id="item_id",
            decided_at="decided_at",
            action="action",
            views_per_hour=_SEEN_BY,
            probabilities={one: _column(one) for one in categories},
            actions=_ACTIONS,
        ),
        about=_CONTENT,
        shadows=shadows,
    )
    rejects += [*bad_items, *bad_decisions]
    once = {(one.line, one.field): one for one in rejects}
    mapped = Mapped(
        items,
        found,
        [once[key] for key in sorted(once)],
        len(contents) - len(items),
        rejected_rows + rejected_decisions + len(decided) - len(found),
        len({one.line for one in rejects}),
    )
    return Pushed(mapped, _names(ignored))


def _bad_probabilities(
    row: Mapping[str, Any], line: int, categories: Sequence[str], ignored: dict[str, None]
) -> Reject | None:
    given = row.get("probabilities")
    if given is None:
        return Reject(line, "probabilities", "is missing")
    if not isinstance(given, Mapping):
        why = f"is a {type(given).__name__}; write an object of category and probability"
        return Reject(line, "probabilities", why)
    ignored.update(dict.fromkeys(_column(one) for one in given if one not in categories))
    if not any(given.get(one) is not None for one in categories):
        return Reject(line, "probabilities", f"has none of {', '.join(categories)}")
    return None


def _column(category: str) -> str:
    return f"probabilities.{category}"


def _chunk(
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    fields: Sequence[str],
    categories: Sequence[str],
) -> Chunk:
    columns = {name: [row.get(name) for _, row in rows] for name in fields}
    for one in categories:
        columns[_column(one)] = [row["probabilities"].get(one) for _, row in rows]
    return Chunk(columns, [line for line, _ in rows])


def _names(ignored: Mapping[str, None]) -> tuple[str, ...]:
    """Those that look like names: a key may be anything, content too."""
    return tuple(sorted(one for one in ignored if LOOKS_LIKE_A_NAME.fullmatch(one)))[:_NAMES_TOLD]
