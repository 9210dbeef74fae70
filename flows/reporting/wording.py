"""How pages say a figure: with its interval, or its code, and never bare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Told(Protocol):
    """A figure with its interval, or a code in its place."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def code(self) -> str | None: ...
    @property
    def n(self) -> int | None: ...


def as_share(one: Told | None) -> str:
    """`81.2% (74.0% to 87.1%)`, and `unstable` behind it where it is."""
    return _written(one, "{:.1%}")


def as_number(one: Told | None) -> str:
    """`0.812 (0.740 to 0.871)`."""
    return _written(one, "{:.3f}")


def limits(low: float | None, high: float | None) -> str:
    """`74.0% to 87.1%`."""
    return "-" if low is None or high is None else f"{low:.1%} to {high:.1%}"


def counted(one: Told) -> str:
    """How many labels a figure rests on."""
    return "-" if one.n is None else f"{one.n:,}"


def place(slice_name: str, slice_value: str) -> str:
    """Where a figure holds."""
    return f"{slice_name} {slice_value}" if slice_name else "everywhere"


def listed(names: Iterable[str], *, most: int = 8) -> str:
    """`a, b, c and 4 more`."""
    given = list(names)
    shown = ", ".join(given[:most])
    return shown if len(given) <= most else f"{shown} and {len(given) - most} more"


def _written(one: Told | None, form: str) -> str:
    if one is None:
        return "-"
    if one.value is None or one.low is None or one.high is None:
        return one.code or "-"
    # Figures of the registry are of all test items, which are not drawn: they have no such mark.
    mark = ", unstable" if getattr(one, "unstable", False) else ""
    return f"{form.format(one.value)} ({form.format(one.low)} to {form.format(one.high)}){mark}"
