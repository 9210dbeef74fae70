"""The queue: entries and their every move, who holds them, and the deadlines that passed."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from hitl.db.schema.base import A_DAY_ON, WHEN, metadata, now, one_of
from hitl.records import UNROUTED, EntryState

# A trigger checks moves, and which columns may change (hitl/db/moves.py). No index is over what
# moves: what is open and what waits has a table of its own.
entries = Table(
    "entries",
    metadata,
    Column("entry_id", BigInteger, Identity(always=True), primary_key=True),
    Column("item_id", Text, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("state", Text, nullable=False, server_default=EntryState.WAITING.value),
    Column("lane", Text, nullable=False, server_default=UNROUTED),
    Column("tier", SmallInteger, nullable=False, server_default=text("1")),  # 2 up: escalated
    # What asking teaches, (0, 1]. NULL: an audit, whose place owes nothing to any score.
    Column("worth", Double),
    # severity x reach x P(violation) x worth, by the newest decision
    Column("priority", Double, nullable=False, server_default=text("0")),
    # Served in the order of `turn_at`, then `due_at`: the deadline, brought forward by priority
    # (docs/adr). Neither moves while time passes.
    Column("due_at", WHEN, nullable=False, server_default=A_DAY_ON),
    Column("turn_at", WHEN, nullable=False, server_default=A_DAY_ON),
    Column("votes_wanted", SmallInteger, nullable=False),
    # Who has it, if a tool claimed it. No foreign key: it would look up the lease of every row.
    Column("lease_id", BigInteger),
    Column("failures", SmallInteger, nullable=False, server_default=text("0")),  # leases run out
    Column("reason", Text),  # why dead, withdrawn or escalated
    now("opened_at"),
    Column("closed_at", WHEN),
    ForeignKeyConstraint(["batch_id", "item_id"], ["picks.batch_id", "picks.item_id"]),
    UniqueConstraint("batch_id", "item_id"),
    CheckConstraint(one_of("state", EntryState), name="state"),
    CheckConstraint("votes_wanted BETWEEN 1 AND 9", name="votes_wanted"),
    CheckConstraint("tier BETWEEN 1 AND 9", name="tier"),
    CheckConstraint("lease_id IS NULL OR state = 'dispatched'", name="leased"),
)

# Both written by a trigger alone (hitl/db/moves.py), in the transaction that moves the entry.
# What is open of each item: one at most. No foreign keys: no entry is ever deleted.
open_items = Table(
    "open_items",
    metadata,
    Column("item_id", Text, nullable=False),
    Column("entry_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("item_id"),
)

# What waits, in the order in which it is served.
turns = Table(
    "turns",
    metadata,
    Column("entry_id", BigInteger, autoincrement=False, nullable=False),
    Column("lane", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    Column("turn_at", WHEN, nullable=False),
    Column("due_at", WHEN, nullable=False),
    PrimaryKeyConstraint("entry_id"),
)
Index("ix_turns_tier_turn_at", turns.c.tier, turns.c.turn_at, turns.c.due_at, turns.c.entry_id)
Index(
    "ix_turns_tier_lane_turn_at",
    turns.c.tier,
    turns.c.lane,
    turns.c.turn_at,
    turns.c.due_at,
    turns.c.entry_id,
)

entry_moves = Table(
    "entry_moves",
    metadata,
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    PrimaryKeyConstraint("from_state", "to_state"),
)

# Written by the trigger alone: the log that every queue figure can be counted again from. A row
# where the state, the lane or the tier changed. No foreign key: no entry is ever deleted.
entry_events = Table(
    "entry_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), nullable=False),
    Column("entry_id", BigInteger, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("lane", Text, nullable=False, server_default=UNROUTED),
    Column("tier", SmallInteger, nullable=False, server_default=text("1")),
    Column("lease_id", BigInteger),
    Column("reason", Text),
    now("happened_at"),
    PrimaryKeyConstraint("entry_id", "event_id"),
)

# What a tool that pulls work holds: up to so many entries at once, until a moment. One row a
# claim, so that a heartbeat touches one. Mutable: `expires_at`, `held`, `ended_at`.
leases = Table(
    "leases",
    metadata,
    Column("lease_id", BigInteger, Identity(always=True), primary_key=True),
    Column("token", UUID(as_uuid=True), nullable=False, server_default=func.gen_random_uuid()),
    Column("holder", Text, nullable=False),
    Column("entry_ids", ARRAY(BigInteger), nullable=False),
    Column("held", Integer, nullable=False),  # of these, how many were not given back yet
    now("claimed_at"),
    Column("expires_at", WHEN, nullable=False),
    Column("ended_at", WHEN),
    CheckConstraint("length(holder) BETWEEN 1 AND 200", name="holder"),
)
Index("ix_leases_running", leases.c.expires_at, postgresql_where=text("ended_at IS NULL"))
Index("ix_leases_holder_claimed_at", leases.c.holder, leases.c.claimed_at)

# Who has had an entry and is not given it again: skipped it, or gave one of several answers.
handled = Table(
    "handled",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("holder", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    now("happened_at"),
    PrimaryKeyConstraint("entry_id", "holder"),
    CheckConstraint("outcome IN ('skipped', 'answered')", name="outcome"),
)
Index("ix_handled_holder_happened_at", handled.c.holder, handled.c.happened_at)

# Which lanes a person may take, and up to which tier. '*' is every lane. Mutable.
skills = Table(
    "skills",
    metadata,
    Column("holder", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("holder", "lane"),
    CheckConstraint("tier BETWEEN 1 AND 9", name="tier"),
)

# Deadlines that passed while their entry was open, each told once.
breaches = Table(
    "breaches",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("due_at", WHEN, nullable=False),
    Column("lane", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    now("seen_at"),
    PrimaryKeyConstraint("entry_id", "due_at"),
)
