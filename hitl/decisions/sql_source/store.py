"""A query on a database of yours as a source: read-only, streamed, by any SQLAlchemy URL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

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

from hitl.decisions.chunks import Column, Read, Row, header, reach
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

    def read(self, wanted: Sequence[Column]) -> Iterator[Read]:
        """The answer's rows.

        Raises:
            MissingColumns, BadQuery, SourceUnavailable, UnreadableSource.
        """
        line = 0
        try:
            for one in self._rows(wanted):
                line = getattr(one, "line", line)
                yield one
        except (ImportError, NoSuchModuleError) as cause:
            driver = self.url.drivername
            raise BadQuery(self.name, f"no driver for {driver}; install it beside hitl") from cause
        except (OperationalError, InterfaceError) as cause:
            said = _first_line(cause) if line == 0 else type(cause.orig).__name__
            # SQLite says this for a misspelt table too, and has no server that could be away.
            if self.url.get_backend_name() == "sqlite":
                raise BadQuery(self.name, f"the database says: {said}") from None
            raise SourceUnavailable(self.name, said) from None
        except ProgrammingError as cause:
            raise BadQuery(self.name, f"the database says: {_first_line(cause)}") from None
        except DBAPIError as cause:
            # Not its message: it may quote the value that it could not convert.
            why = type(cause.orig).__name__
            raise UnreadableSource(self.name, why, after_line=line) from None
        except SQLAlchemyError as cause:
            raise UnreadableSource(self.name, type(cause).__name__, after_line=line) from None

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
        for line, row in enumerate(rows, start=1):
            found = {str(name): value for name, value in row.items()}
            yield Row(line, tuple([reach(found, column.name) for column in wanted]))


def _first_line(cause: DBAPIError) -> str:
    lines = str(cause.orig).strip().splitlines()
    return lines[0] if lines else type(cause.orig).__name__
