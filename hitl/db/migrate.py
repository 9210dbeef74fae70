"""Bringing a database to the schema of this version, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

import migrations
from hitl.db.engine import begin
from hitl.db.locks import lock_key
from hitl.errors import Refused


class SchemaBehind(Refused):
    """The database has another schema version than this code needs."""

    def __init__(self, has: str | None, needs: str | None) -> None:
        super().__init__(
            f"the database is at schema {has or 'none'}, this version needs {needs}; "
            "run `hitl migrate`"
        )
        self.has = has
        self.needs = needs


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def migrate(engine: Engine, *, revision: str = "head") -> str | None:
    """Upgrade to `revision` and return it. Two at once wait for each other. Safe to repeat."""
    config = _config()
    with begin(engine) as tx:
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key("migrate")})
        config.attributes["connection"] = tx
        command.upgrade(config, revision)
        return MigrationContext.configure(tx).get_current_revision()


def check_schema(engine: Engine) -> None:
    """Raise `SchemaBehind` unless the database is at this version's schema."""
    needs = ScriptDirectory.from_config(_config()).get_current_head()
    with begin(engine) as tx:
        has = MigrationContext.configure(tx).get_current_revision()
    if has != needs:
        raise SchemaBehind(has, needs)
