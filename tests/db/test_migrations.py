"""The migrations give what the code says, and back."""

from __future__ import annotations

import uuid

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from hitl.db import SchemaBehind, check_schema, connect, migrate
from hitl.db.migrate import _config
from hitl.db.moves import APPEND_ONLY, MOVES_AS_ROWS, TRIGGERS, append_only_trigger
from hitl.db.schema import metadata
from hitl.db.views import create_statements
from tests.conftest import _execute, _with_database

pytestmark = pytest.mark.postgres

_DEFINITIONS = text("""
    SELECT 'view ' || schemaname || '.' || viewname AS what, definition AS body FROM pg_views
    WHERE schemaname IN ('public', 'dashboard')
    UNION ALL
    SELECT 'function ' || proname, pg_get_functiondef(p.oid) FROM pg_proc p
    JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'public'
    UNION ALL
    SELECT 'trigger ' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'index ' || indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    UNION ALL
    SELECT 'check ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'c' AND connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'move ' || from_state || ' ' || to_state, '' FROM entry_moves
    ORDER BY 1
""")


def _definitions(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return {row.what: row.body for row in connection.execute(_DEFINITIONS)}


def test_migrating_from_empty_gives_the_schema_of_the_code(
    engine: Engine, postgres_url: str
) -> None:
    name = f"by_code_{uuid.uuid4().hex[:8]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}"')
    by_code = connect(_with_database(postgres_url, name))
    with by_code.begin() as tx:
        metadata.create_all(tx)
        statements = [TRIGGERS, *map(append_only_trigger, APPEND_ONLY), *create_statements()]
        for statement in statements:
            tx.execute(text(statement))
        tx.execute(metadata.tables["entry_moves"].insert(), MOVES_AS_ROWS)

    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert [] == differences
    assert _definitions(by_code) == _definitions(engine)
    by_code.dispose()
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    before = _definitions(engine)

    migrate(engine)

    assert before == _definitions(engine)


def test_the_migration_goes_back_to_empty_and_forth_again(engine: Engine) -> None:
    before = _definitions(engine)
    config = _config()

    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, "base")
        left = tx.execute(
            text("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'dashboard')")
        ).scalar_one()
    with pytest.raises(SchemaBehind, match="run `hitl migrate`"):
        check_schema(engine)
    migrate(engine)

    assert left == 1  # Alembic's own version table
    assert before == _definitions(engine)
