"""What every table is made with: the metadata, names of constraints, and kinds of columns."""

from datetime import datetime

from sqlalchemy import Column, DateTime, MetaData, func, text

from hitl.records import Action, AnnotationKind, EntryState, ModelState, Stage

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

WHEN = DateTime(timezone=True)
A_DAY_ON = text("now() + interval '1 day'")


def now(name: str) -> Column[datetime]:
    """A moment by the database's clock, so that workers' clocks may differ."""
    return Column(name, WHEN, nullable=False, server_default=func.clock_timestamp())


def one_of(
    column: str, values: type[Action | AnnotationKind | EntryState | ModelState | Stage]
) -> str:
    """What a check says of a column that holds one word of these."""
    listed = ", ".join(f"'{one.value}'" for one in values)
    return f"{column} IN ({listed})"
