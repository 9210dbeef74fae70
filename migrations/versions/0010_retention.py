"""What is too old can go: a month is closed before it is dropped, and items are found by their id."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Deleting an item looks up each of these.
_BY_ITEM = ("picks", "overflows", "twin_items")
_MUTABLE = """
CREATE TRIGGER retentions_append_only BEFORE UPDATE ON retentions FOR EACH ROW
WHEN ((OLD.month, OLD.kept_from) IS DISTINCT FROM (NEW.month, NEW.kept_from))
EXECUTE FUNCTION refuse_change('dropped', 'kept', 'done_at')
"""
_NEVER_DELETED = """
CREATE TRIGGER retentions_never_deleted BEFORE DELETE ON retentions
FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""
_APPEND_ONLY = """
CREATE TRIGGER retentions_append_only BEFORE UPDATE OR DELETE ON retentions
FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    for table in _BY_ITEM:
        op.create_index(f"ix_{table}_item_id", table, ["item_id"])
    op.execute("CREATE INDEX ix_items_ingested_at ON items USING brin (ingested_at)")
    op.execute("DROP TRIGGER retentions_append_only ON retentions")
    for column in ("dropped", "kept", "done_at"):
        op.alter_column("retentions", column, nullable=True)
    op.alter_column("retentions", "done_at", server_default=None)
    op.execute(_MUTABLE)
    op.execute(_NEVER_DELETED)


def downgrade() -> None:
    op.execute("DROP TRIGGER retentions_never_deleted ON retentions")
    op.execute("DROP TRIGGER retentions_append_only ON retentions")
    # A month that was closed and not yet dropped counts as such again.
    op.execute("DELETE FROM retentions WHERE done_at IS NULL")
    op.execute("ALTER TABLE retentions ALTER done_at SET DEFAULT clock_timestamp()")
    for column in ("dropped", "kept", "done_at"):
        op.alter_column("retentions", column, nullable=False)
    op.execute(_APPEND_ONLY)
    op.drop_index("ix_items_ingested_at", table_name="items")
    for table in _BY_ITEM:
        op.drop_index(f"ix_{table}_item_id", table_name=table)
