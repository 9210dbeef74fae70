"""What intake says no with. Names of sources, columns and lines; never a value of a row."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from hitl.errors import Malformed, NotYet, Refused, Unavailable

# A file without a header has content where the names should be. Only what looks like a name is
# repeated in a message.
LOOKS_LIKE_A_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,39}")
_NAMES_SHOWN = 30


class BadValue(Malformed):
    """One value of a row cannot be used. `reason` reads on from the field's name."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class SourceRefused(Refused):
    """One source cannot be taken in as it is; others beside it can."""


class SourceNotFound(SourceRefused):
    """Nothing is there."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"{source}: {why}")
        self.source = source


class UnknownFormat(SourceRefused):
    """The name does not end in a way that says how to read it."""

    def __init__(self, source: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{source}: its name does not say how to read it; give a file, folder or glob of "
            f"{', '.join(known)} (each may end in .gz, .bz2 or .xz too, Parquet not), "
            "or a database URL with --query"
        )
        self.source = source


class EmptySource(Refused):
    """There is a source, and not one row in it."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"{source}: holds no rows, so nothing was taken in; "
            "check that whatever wrote it has finished, then run again"
        )
        self.source = source


class NoRowsYet(NotYet):
    """A query was answered, and with not one row: there is nothing new to take in."""

    def __init__(self, source: str) -> None:
        super().__init__(f"{source}: the query gives no rows now; nothing was taken in")
        self.source = source


class UnreadableSource(SourceRefused):
    """The bytes are not what the name says. What was read before stays taken in."""

    def __init__(self, source: str, why: str, *, after_line: int = 0) -> None:
        where = f" after line {after_line:,}" if after_line else ""
        super().__init__(
            f"{source}: cannot be read{where}: {why}. Mend or fetch it again, then run the same "
            "command; rows already taken in are not doubled"
        )
        self.source = source
        self.after_line = after_line


class SourceUnavailable(Unavailable):
    """The place where the source lies does not answer."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(
            f"{source}: does not answer ({why}); run the same command again, "
            "rows already taken in are not doubled"
        )
        self.source = source


class BadQuery(SourceRefused):
    """The query, or the URL beside it, cannot be used."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"{source}: {why}")
        self.source = source


class MissingColumns(SourceRefused):
    """The recipe names columns that the source does not have. Carries the names."""

    def __init__(
        self,
        source: str,
        *,
        missing: Sequence[tuple[str, str]],
        there: Iterable[str],
        wanted: Sequence[str],
    ) -> None:
        there = list(there)
        shown = [name for name in there if LOOKS_LIKE_A_NAME.fullmatch(name)][:_NAMES_SHOWN]
        rest = len(there) - len(shown)
        listed = ", ".join(shown) or "none that looks like a column name"
        if rest and shown:
            listed += f" and {rest} more"
        lines = [f"{source}: {len(missing)} column(s) missing; there is: {listed}"]
        for key, column in missing:
            near = difflib.get_close_matches(column, shown, n=1, cutoff=0.5)
            table, _, name = key.rpartition(".")
            lines.append(
                f"  no column {column!r}; in recipe.toml under [{table}] write "
                f'{name} = "{near[0] if near else "THEIR NAME"}"'
            )
        kinds = {_kind_of(key) for key in wanted}
        lacking = {_kind_of(key) for key, _ in missing}
        if len(kinds) == 2 and len(lacking) == 1:
            # Read for both, and all that is missing belongs to one.
            (held,) = kinds - lacking
            lines.append(f"  or, if it holds {held} alone, add --kind {held}")
        super().__init__("\n".join(lines))
        self.source = source
        self.missing = tuple(column for _, column in missing)


def _kind_of(key: str) -> str:
    """ "content" or "decisions", from a recipe's key such as `intake.content.text`."""
    return key.split(".")[1]


class UnknownCategory(Refused):
    """The recipe maps a probability to a category that the policy does not have."""

    def __init__(self, unknown: Sequence[str], categories: Sequence[str]) -> None:
        super().__init__(
            f"recipe.toml [intake.decisions.probabilities]: unknown category "
            f"{', '.join(map(repr, unknown))}; the policy has {', '.join(categories)}. "
            "Mend the spelling, remove the line, or add the category to policy.toml"
        )
        self.unknown = tuple(unknown)


class NoProbabilityColumns(Refused):
    """The recipe says nothing of where the model's probabilities are."""

    def __init__(self, categories: Sequence[str]) -> None:
        first = categories[0] if categories else "hate"
        super().__init__(
            "recipe.toml [intake.decisions.probabilities] is empty; write one line a category, "
            f'such as {first} = "score_{first}" (left our name, right the source\'s column; '
            "scores.NAME reaches into a JSON object)"
        )
