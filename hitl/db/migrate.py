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
from hitl.db.locks import take_turns
from hitl.errors import Refused


class SchemaBehind(Refused):
    """The database has an older schema than this code needs, or none."""

    def __init__(self, has: str | None, needs: str | None) -> None:
        super().__init__(
            f"the database is at schema {has or 'none'}, this version needs {needs}; "
            "run `hitl migrate`"
        )
        self.has = has
        self.needs = needs


class SchemaAhead(Refused):
    """The database was migrated by a version of this code that is newer than this one."""

    def __init__(self, has: str, needs: str | None) -> None:
        super().__init__(
            f"the database is at schema {has}, which this version (schema {needs}) does not know; "
            "run the version that migrated it, or a newer one"
        )
        self.has = has
        self.needs = needs


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def migrate(engine: Engine, *, revision: str = "head") -> str | None:
    """Upgrade to `revision` and return it. Two at once wait for each other. Safe to repeat.

    Raises:
        SchemaAhead: a newer version has migrated it already.
    """
    config = _config()
    with begin(engine) as tx:
        # An index on a large table takes what it takes, and so may the wait for another's.
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        take_turns(tx, "migrate")
        _refuse_ahead(MigrationContext.configure(tx).get_current_revision())
        config.attributes["connection"] = tx
        command.upgrade(config, revision)
        return MigrationContext.configure(tx).get_current_revision()


def check_schema(engine: Engine) -> None:
    """Pass if the database is at this version's schema.

    Raises:
        SchemaBehind: it must be migrated first.
        SchemaAhead: this version is older than the database.
    """
    with begin(engine) as tx:
        has = MigrationContext.configure(tx).get_current_revision()
    needs = _refuse_ahead(has)
    if has != needs:
        raise SchemaBehind(has, needs)


def _refuse_ahead(has: str | None) -> str | None:
    """This version's own revision, unless the database has one that it does not know."""
    script = ScriptDirectory.from_config(_config())
    needs = script.get_current_head()
    if has is not None and has not in {one.revision for one in script.walk_revisions()}:
        raise SchemaAhead(has, needs)
    return needs
