"""What the sampler benchmarks print, and when one has missed its bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.sampler_cells import Cell, Contender
from benchmarks.sampler_pools import MadePool

MET, MISSED, NO_PEER = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of several rounds."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    def __str__(self) -> str:
        middle = _plain(self.median)
        if len(self.values) == 1:
            return middle
        return f"{middle} ({_plain(min(self.values))}-{_plain(max(self.values))})"


@dataclass
class Bars:
    """Claims with what each must reach; `print` says which were missed."""

    console: Console
    lines: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def hold(
        self,
        claim: str,
        found: Spread | float,
        must: Literal["at least", "at most"],
        bar: float,
        unit: str = "x",
    ) -> None:
        value = found.median if isinstance(found, Spread) else float(found)
        is_met = value >= bar if must == "at least" else value <= bar
        shown = str(found) if isinstance(found, Spread) else _plain(value)
        self.lines.append((claim, f"{shown} {unit}", f"{must} {bar:g} {unit}", is_met))

    def print(self) -> int:
        table = Table(title="Bars (median and range over the rounds)", title_justify="left")
        table.add_column("claim", ratio=1)
        for heading in ("measured", "must be", ""):
            table.add_column(heading, justify="right", no_wrap=True)
        for claim, found, bar, is_met in self.lines:
            table.add_row(claim, found, bar, "met" if is_met else "MISSED")
        self.console.print(table)
        return MET if all(line[3] for line in self.lines) else MISSED


@dataclass
class Times:
    """The cells of a benchmark, by size of the pool and contender, in the order first seen."""

    title: str
    cells: dict[tuple[str, str], list[Cell]] = field(default_factory=dict)
    notes: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, size: str, contender: Contender, cell: Cell, note: str = "") -> Cell:
        self.cells.setdefault((size, contender.name), []).append(cell)
        if note:
            self.notes[size, contender.name] = note
        return cell

    def print(self, console: Console) -> None:
        table = Table(title=self.title, title_justify="left")
        for heading in ("pool x picks", "by", "choose, CPU s", "build, s", "MiB", ""):
            table.add_column(
                heading, justify="left" if heading in ("pool x picks", "by", "") else "right"
            )
        for (size, name), cells in self.cells.items():
            table.add_row(
                size,
                name,
                str(Spread.of([cell.choose for cell in cells])),
                _plain(float(np.median([cell.build for cell in cells]))),
                f"{max(cell.memory for cell in cells):.0f}",
                self.notes.get((size, name), ""),
            )
        console.print(table)


def size_of(made: MadePool, picks: int) -> str:
    return f"{len(made):,} x {picks:,}"


def _plain(value: float) -> str:
    if value == 0.0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
