"""What is open and what waits get tables of their own; claims and completions are functions."""

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Written out there, not imported: a migration must go on meaning what it meant.
_FOLDER = Path(__file__).parent


def _run(name: str) -> None:
    for statement in (_FOLDER / name).read_text(encoding="utf-8").split("\n-- next --\n"):
        # Not by `sa.text`, which would take a colon in a statement for a parameter.
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def upgrade() -> None:
    _run("0016_places.sql")


def downgrade() -> None:
    _run("0016_places_back.sql")
