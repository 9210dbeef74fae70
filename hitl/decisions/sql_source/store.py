"""A query on a database of yours as a source: read-only, streamed, by any SQLAlchemy URL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from hitl.decisions.chunks import Column, Read, Reject, Row, header, reach
from hitl.decisions.errors import BadQuery, SourceUnavailable, UnreadableSource

_ROWS_A_FETCH = 1_000


@dataclass(frozen=True)
class SqlSource:
    """The rows of one query; `line` is a row's place in the answer, so give an ORDER BY."""

    name: str
    url: URL = field(repr=False)
    query: str = field(repr=False)

    @classmethod
    def from_url(cls, url: str, query: str) -> SqlSource:
        """Check the URL without connecting.

        Raises:
            BadQuery: it is no database URL, its driver is not installed, or the query is empty.
        """
        try:
            made = make_url(url)
        except (ArgumentError, ValueError):
            # The text is not repeated: a half-written URL may hold a password.
            why = "write DIALECT+DRIVER://USER:PASSWORD@HOST/NAME, such as sqlite:///log.db"
            raise BadQuery("the source of --query", f"is not a database URL; {why}") from None
        if made.get_backend_name() == "postgresql":
            made = made.set(drivername="postgresql+psycopg2")  # the one that we bring
        # Without password and options; two queries on one database are two sources.
        bare = made.set(query={}).render_as_string(hide_password=True)
        mark = hashlib.sha256(query.encode()).hexdigest()[:12]
        if not query.strip():
            raise BadQuery(bare, "the query is empty; write --query 'SELECT …'")
        return cls(f"{bare} query {mark}", made, query)

    def read(self, wanted: Sequence[Column], *, after_line: int = 0) -> Iterator[Read]:
        """The answer's rows, all of them: what comes first may be another row next time.

        Raises:
            MissingColumns, BadQuery, SourceUnavailable, UnreadableSource.
        """
        line, is_answered = 0, False
        try:
            for one in self._rows(wanted):
                line, is_answered = getattr(one, "line", line), True
                yield one
        except (ImportError, NoSuchModuleError):
            why = f"no driver for {self.url.drivername}; install it beside hitl"
            raise BadQuery(self.name, why) from None
        except (DBAPIError, ValueError, OverflowError) as cause:
            raise self._refusal(cause, is_answered=is_answered, after_line=line) from None
        except SQLAlchemyError as cause:
            raise UnreadableSource(self.name, type(cause).__name__, after_line=line) from None

    def fingerprint(self) -> None:
        """None: nothing tells whether a query would be answered as before."""

    def _refusal(
        self, cause: Exception, *, is_answered: bool, after_line: int
    ) -> BadQuery | SourceUnavailable | UnreadableSource:
        """Ours for the driver's. Its words are of the query only until rows come, then of a row."""
        kind = type(getattr(cause, "orig", cause)).__name__
        said = kind if is_answered or not isinstance(cause, DBAPIError) else _first_line(cause)
        # SQLite has no server that could be away, and says this of a misspelt table too.
        has_server = self.url.get_backend_name() != "sqlite"
        if isinstance(cause, OperationalError | InterfaceError) and has_server:
            return SourceUnavailable(self.name, said)
        if isinstance(cause, OperationalError | ProgrammingError) and not is_answered:
            return BadQuery(self.name, f"the database says: {said}")
        # A value that could not be converted, by the database or by its driver.
        return UnreadableSource(self.name, kind, after_line=after_line)

    def _rows(self, wanted: Sequence[Column]) -> Iterator[Read]:
        is_postgres = self.url.get_backend_name() == "postgresql"
        engine = create_engine(self.url, hide_parameters=True)
        try:
            with engine.connect() as connection:
                options = {"stream_results": True, "yield_per": _ROWS_A_FETCH}
                if is_postgres:
                    options["postgresql_readonly"] = True
                # no_parameters: a % in the query is the query's own.
                connection = connection.execution_options(no_parameters=True, **options)
                result = connection.exec_driver_sql(self.query)
                if not result.returns_rows:
                    raise BadQuery(self.name, "the query gives no rows back; write a SELECT")
                names = list(result.keys())
                if twice := sorted({one for one in names if names.count(one) > 1}):
                    raise BadQuery(
                        self.name, f"column {twice[0]!r} comes more than once; rename it with AS"
                    )
                yield from self._answer(result.mappings(), names, wanted)
        finally:
            engine.dispose()

    def _answer(
        self, rows: Iterable[RowMapping], names: list[str], wanted: Sequence[Column]
    ) -> Iterator[Read]:
        # What is inside a JSON column shows only row by row: that the column is there must do.
        inside = [c.name for c in wanted if "." in c.name and c.name.split(".")[0] in names]
        yield header(self.name, [*names, *inside], wanted)
        roots = sorted({name.split(".")[0] for name in inside if name not in names})
        for line, row in enumerate(rows, start=1):
            found = {str(name): value for name, value in row.items()}
            strange = [root for root in roots if not _open_json(found, root)]
            if strange:
                yield Reject(line, strange[0], "is not a JSON object")
            else:
                yield Row(line, tuple([reach(found, column.name) for column in wanted]))


def _open_json(row: dict[str, Any], root: str) -> bool:
    """Put an object in the place of the JSON text that many drivers give for one.

    False if there is neither an object nor NULL: its probabilities would be taken for unknown.
    """
    if isinstance(row[root], str | bytes):
        try:
            row[root] = json.loads(row[root])
        except (ValueError, RecursionError):
            return False
    return row[root] is None or isinstance(row[root], Mapping)


def _first_line(cause: DBAPIError) -> str:
    lines = str(cause.orig).strip().splitlines()
    return lines[0] if lines else type(cause.orig).__name__
