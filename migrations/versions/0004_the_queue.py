"""The queue: lanes, deadlines, turns, leases, skips, escalations, and what a quota kept out."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Written out here, not imported: a migration must go on meaning what it meant.
_SQL = Path(__file__).with_name("0004_the_queue.sql")
_BACK = Path(__file__).with_name("0004_the_queue_back.sql")


def upgrade() -> None:
    _run(_SQL)


def downgrade() -> None:
    _run(_BACK)


def _run(path: Path) -> None:
    for statement in path.read_text(encoding="utf-8").split("\n-- next --\n"):
        # Not by `sa.text`, which would take a colon in a statement for a parameter.
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))
