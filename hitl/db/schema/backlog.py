"""Fixed populations of which enough shall be found, and what each look at one showed."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import WHEN, metadata, now

# A fixed population, and what is to be shown of it. Who is in is said once, at its opening.
backlogs = Table(
    "backlogs",
    metadata,
    Column("backlog_id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("category", Text, nullable=False),  # or `any`
    Column("at_least", Double, nullable=False),
    Column("confidence", Double, nullable=False),  # of all looks together
    Column("rule", JSONB, nullable=False),  # by which its items were taken
    Column("items", BigInteger, nullable=False),
    now("opened_at"),
    CheckConstraint("at_least > 0 AND at_least < 1", name="at_least"),
    CheckConstraint("confidence > 0 AND confidence < 1", name="confidence"),
)

# No foreign keys, which would cost as much as the rows: these come with their backlog, and an item
# that is forgotten for its age stays counted as one that nobody reviewed.
backlog_items = Table(
    "backlog_items",
    metadata,
    Column("backlog_id", Integer, nullable=False),
    Column("item_id", Text, nullable=False),
    PrimaryKeyConstraint("backlog_id", "item_id"),
)

# A draw from what nobody had reviewed when `upto_label_id` was the newest label; and, once it is
# answered, what that shows. Mutable, once: the second half.
backlog_looks = Table(
    "backlog_looks",
    metadata,
    Column("backlog_id", Integer, ForeignKey("backlogs.backlog_id"), nullable=False),
    Column("look", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("upto_label_id", BigInteger, nullable=False),
    Column("unreviewed", BigInteger, nullable=False),
    Column("found_before", BigInteger, nullable=False),
    Column("drawn", Integer, nullable=False),
    Column("alpha", Double, nullable=False),  # what this look may err
    now("drawn_at"),
    Column("violating_in_draw", Integer),
    Column("lost", Integer),  # drawn and without an answer: counted as violating and missed
    Column("found_since", BigInteger),  # beside the draw
    Column("found", BigInteger),  # in all
    Column("missed_at_most", BigInteger),
    Column("recall_at_least", Double),
    Column("is_certified", Boolean),
    Column("certified_at", WHEN),
    PrimaryKeyConstraint("backlog_id", "look"),
    CheckConstraint("drawn BETWEEN 0 AND unreviewed", name="drawn"),
    CheckConstraint(
        "num_nulls(violating_in_draw, lost, found_since, found, missed_at_most, recall_at_least,"
        " is_certified, certified_at) IN (0, 8)",
        name="whole_result",
    ),
)
Index(
    "uq_backlog_looks_one_open",
    backlog_looks.c.backlog_id,
    unique=True,
    postgresql_where=text("certified_at IS NULL"),
)

backlog_draws = Table(
    "backlog_draws",
    metadata,
    Column("backlog_id", Integer, nullable=False),
    Column("look", Integer, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    PrimaryKeyConstraint("backlog_id", "look", "item_id"),
    ForeignKeyConstraint(
        ["backlog_id", "look"], ["backlog_looks.backlog_id", "backlog_looks.look"]
    ),
)
