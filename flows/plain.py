"""Records as JSON can hold them, and as a table of figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

LONGEST_LIST = 8
LONGEST_VALUE = 300


def plain(value: Any) -> Any:
    """A record as JSON can hold it: dataclasses, moments, enums and paths become plain values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        # Sorted, because a set has no order and the same report must print the same.
        return sorted((plain(one) for one in value), key=lambda one: (str(type(one)), one))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and callable(value.item):  # a numpy scalar
        return value.item()
    return value


def figures(report: Any) -> list[tuple[str, str]]:
    """A report as (name, value) lines; a record in a record becomes `outer.inner`.

    Long lists are counted instead of shown, long values cut: a page of figures stays a page.
    """
    return list(_figures("", plain(report)))


def _figures(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _figures(f"{name}.{key}" if name else key, one)
    elif isinstance(value, list) and value:
        holds_records = any(isinstance(one, dict | list) for one in value)
        if holds_records or len(value) > LONGEST_LIST:
            yield name, f"{len(value)} of them"
        else:
            yield name, _cut(", ".join(str(one) for one in value))
    elif value is None or value in ([], {}, ""):
        yield name, "-"
    else:
        yield name, _cut(f"{value:.4g}" if isinstance(value, float) else str(value))


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"


def table_of(name: str, report: dict[str, Any]) -> list[dict[str, Any]]:
    """What a run shows of its report: one line a figure, or for `measure` one line a metric."""
    if name == "watch_drift":
        return [
            {"kind": one["about"]["kind"], "category": one["about"]["category"]}
            | {"slice": f"{one['about']['slice_name']} {one['about']['slice_value']}".strip()}
            | {"model": one["about"]["model_version"]}
            | {key: one[key] for key in ("statistic", "bar", "p_value", "level", "effect")}
            for one in report["shifts"]
            if one["code"] is None
        ]
    if name != "measure":
        return [{"figure": key, "value": value} for key, value in figures(report)]
    return [
        {"model": model_version}
        | {key: one[key] for key in ("metric", "category", "kind", "value", "low", "high", "n")}
        | {"value": one["value"] if one["code"] is None else one["code"]}
        for model_version, found in report["by_model"].items()
        for one in found
        if one["slice_name"] == ""
    ]
