"""Moves of entries cost less: one index on their log, and no look-up of each."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_CHECK = """
CREATE OR REPLACE FUNCTION check_entry_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'entry for item %: a new entry starts waiting, not %',
            NEW.item_id, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> ALL (CASE OLD.state
        WHEN 'waiting' THEN ARRAY['dispatched', 'withdrawn', 'dead']
        WHEN 'dispatched' THEN ARRAY['done', 'adjudicating', 'waiting', 'withdrawn', 'dead']
        WHEN 'adjudicating' THEN ARRAY['done', 'dispatched', 'withdrawn', 'dead']
        WHEN 'done' THEN ARRAY['dispatched', 'adjudicating']
        WHEN 'dead' THEN ARRAY['waiting']
        ELSE '{}' END
    ) THEN
        RAISE EXCEPTION 'entry %: no legal move from % to %',
            OLD.entry_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> 'dispatched' THEN
        NEW.lease_id := NULL;
    END IF;
    IF OLD.state = 'dead' THEN
        NEW.failures := 0;
    END IF;
    NEW.closed_at := CASE
        WHEN NEW.state IN ('done', 'withdrawn', 'dead') THEN clock_timestamp()
    END;
    RETURN NEW;
END $$;
"""
_CHECK_BEFORE = """
CREATE OR REPLACE FUNCTION check_entry_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'entry for item %: a new entry starts waiting, not %',
            NEW.item_id, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM entry_moves WHERE from_state = OLD.state AND to_state = NEW.state
    ) THEN
        RAISE EXCEPTION 'entry %: no legal move from % to %',
            OLD.entry_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> 'dispatched' THEN
        NEW.lease_id := NULL;
    END IF;
    IF OLD.state = 'dead' THEN
        NEW.failures := 0;
    END IF;
    NEW.closed_at := CASE
        WHEN NEW.state IN ('done', 'withdrawn', 'dead') THEN clock_timestamp()
    END;
    RETURN NEW;
END $$;
"""


def upgrade() -> None:
    op.drop_constraint("pk_entry_events", "entry_events")
    op.drop_index("ix_entry_events_entry_id", table_name="entry_events")
    op.create_primary_key("pk_entry_events", "entry_events", ["entry_id", "event_id"])
    op.get_bind().exec_driver_sql(_CHECK.replace("%", "%%"))


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_CHECK_BEFORE.replace("%", "%%"))
    op.drop_constraint("pk_entry_events", "entry_events")
    op.create_primary_key("pk_entry_events", "entry_events", ["event_id"])
    op.create_index("ix_entry_events_entry_id", "entry_events", ["entry_id"], unique=False)
