"""What a replay says no with. Names of files, columns and lines; never a value of a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hitl.errors import Malformed, Refused


class NoSuchColumn(Refused):
    """An option names a column that the file does not have."""

    def __init__(self, source: str, missing: Sequence[tuple[str, str]], there: str) -> None:
        lines = [f"  no column {name!r}; name another with {option}" for option, name in missing]
        super().__init__("\n".join([f"{source}: {there}", *lines]))
        self.columns = tuple(name for _, name in missing)


class BadColumn(Malformed):
    """A column is there, and some of its values cannot be used."""

    def __init__(self, source: str, column: str, lines: Sequence[int], problem: str) -> None:
        where = f"line {lines[0]:,}" if len(lines) == 1 else f"{len(lines):,} rows, first in line "
        if len(lines) > 1:
            where += f"{lines[0]:,}"
        super().__init__(f"{source}, column {column!r} ({where}): {problem}")
        self.column = column
        self.lines = tuple(lines)


class TooFewToReplay(Refused):
    """There are too few items, or too few answers of one kind, to learn and to measure."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source


class TooMuchToReplay(Refused):
    """The file is larger than a replay holds in memory."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(
            f"{source}: {problem}; give a part of it drawn at random, which shows the same"
        )
        self.source = source


class CannotReplay(Refused):
    """A plan cannot choose from these items."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"replay: {problem}")


class CannotWrite(Refused):
    """The folder for the results cannot be used."""

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(f"--out {folder}: {problem}")
        self.folder = folder
