"""Alarms: what moved or no longer holds. And the decision to train anew, with its reasons."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Written out here, not imported: a migration must go on meaning what it meant.
_SQL = Path(__file__).with_name("0014_alarms.sql")


def upgrade() -> None:
    for statement in _SQL.read_text(encoding="utf-8").split("\n-- next --\n"):
        # Not by `sa.text`, which would take a colon in a statement for a parameter.
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    for name in ("alarms", "retrain_decisions"):
        op.execute(f"DROP VIEW dashboard.{name}")
        op.drop_table(name)
