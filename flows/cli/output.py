"""How commands speak: tables and one-line results for people, JSON for programs, progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from flows.plain import figures, plain

# Where nobody's terminal says how wide it is, 80 columns would break every interval in two.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
errors = Console(stderr=True, highlight=False)

Tick = Callable[[int, int | None], None]


@contextmanager
def aside(is_wanted: bool) -> Iterator[None]:
    """What people read goes to standard error, where standard output is for a program."""
    console.stderr = is_wanted
    try:
        yield
    finally:
        console.stderr = False


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, caption: str | None = None
) -> None:
    """A table; numbers stand to the right, everything is escaped."""
    table = Table(
        title=escape(title),
        title_justify="left",
        header_style="bold",
        caption=caption and escape(caption),
        caption_justify="left",
    )
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


class _CountedBar(ProgressColumn):
    """A bar, once something was counted: one that only pulses at zero says less than its title."""

    bar = BarColumn()

    def render(self, task: Task) -> RenderableType:
        return self.bar.render(task) if task.completed else Text("")


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Tick]:
    """A spinner on standard error, with a bar once it is called with (done, total or None).

    Silent where nobody watches.
    """
    shown = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        _CountedBar(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=quiet or not errors.is_terminal,
    )
    with shown:
        bar = shown.add_task(escape(title), total=None, counted="")

        def tick(done: int, total: int | None = None) -> None:
            counted = f"{done:,}" if total is None else f"{done:,} of {total:,}"
            shown.update(bar, completed=done, total=total, counted=counted)

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
    console.print(f"[bold]{escape(title)}[/bold]")
    for name, value in figures(report):
        console.print(f"  {escape(name.replace('_', ' ')):<28} {escape(value)}")
