"""Decisions by month, keyed by what they are; what was dropped, and how far a file was read."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Written out here, not imported: a migration must go on meaning what it meant.
_FOLDER = Path(__file__).parent


def _run(name: str) -> None:
    for statement in (_FOLDER / name).read_text(encoding="utf-8").split("-- next --"):
        op.execute(statement)


def upgrade() -> None:
    _run("0006_decisions_by_month.sql")


def downgrade() -> None:
    _run("0006_decisions_by_month_back.sql")
