"""How commands speak: tables and one-line results for people, JSON for programs, progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.plain import plain

# Where nobody's terminal says how wide it is, 80 columns would break every interval in two.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
errors = Console(stderr=True, highlight=False)

Tick = Callable[[int, int | None], None]


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; numbers stand to the right, everything is escaped."""
    table = Table(title=title, title_justify="left", header_style="bold")
    numeric = [
        all(isinstance(row[k], int | float) or row[k] is None for row in rows) and bool(rows)
        for k in range(len(columns))
    ]
    for name, is_numeric in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if is_numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def say(message: str) -> None:
    """One line for a person. Markup in the message is kept literal."""
    console.print(escape(message), soft_wrap=True)


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Tick]:
    """A bar on standard error; call it with (done, total or None). Silent where nobody watches."""
    shown = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=quiet or not errors.is_terminal,
    )
    with shown:
        bar = shown.add_task(escape(title), total=None)

        def tick(done: int, total: int | None = None) -> None:
            shown.update(bar, completed=done, total=total)

        yield tick


@contextmanager
def stages(title: str) -> Iterator[Callable[[str], None]]:
    """Where a long command is: one changing line at a terminal, elsewhere a line for each stage."""
    if errors.is_terminal:
        with errors.status(escape(title)) as shown:
            yield lambda line: shown.update(escape(line))
        return
    said = ""

    def say_once(line: str) -> None:
        nonlocal said
        stage = line.partition(" package ")[0]  # not a line for each package of an install
        if stage != said:
            errors.print(line, markup=False, soft_wrap=True)
        said = stage

    yield say_once


def show_report(title: str, report: Any, *, as_json: bool) -> None:
    """A step's report: JSON, or its fields as `name value` lines."""
    if as_json:
        show_json(report)
        return
    fields = plain(report)
    console.print(f"[bold]{escape(title)}[/bold]")
    for name, value in fields.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {_cell(one)}" for key, one in value.items()) or "-"
        console.print(f"  {escape(name.replace('_', ' ')):<28} {escape(_cell(value))}")
