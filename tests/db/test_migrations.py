"""The migrations give what the code says, and back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from hitl.db import (
    DatabaseRefused,
    SchemaAhead,
    SchemaBehind,
    begin,
    check_schema,
    connect,
    migrate,
    months,
)
from hitl.db.claims import CLAIMS
from hitl.db.locks import lock_key
from hitl.db.migrate import _config
from hitl.db.moves import APPEND_ONLY, MOVES_AS_ROWS, TRIGGERS, append_only_trigger
from hitl.db.schema import metadata
from hitl.db.views import CREATE_ROLE, DASHBOARD_ROLE, create_statements
from hitl.decisions import payload_hash
from hitl.records import Action, Decision, ItemId, ModelVersion
from tests.builders import NOON
from tests.conftest import _execute, _with_database

pytestmark = pytest.mark.postgres

_DEFINITIONS = text("""
    SELECT 'view ' || schemaname || '.' || viewname AS what, definition AS body FROM pg_views
    WHERE schemaname IN ('public', 'dashboard')
    UNION ALL
    SELECT 'function ' || proname, pg_get_functiondef(p.oid) FROM pg_proc p
    JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'public'
    UNION ALL
    SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'index ' || indexname, indexdef FROM pg_indexes
    WHERE schemaname IN ('public', 'months') AND tablename <> 'alembic_version'
    UNION ALL
    SELECT 'check ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'c' AND connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'storage ' || relname, CAST(reloptions AS text) FROM pg_class
    WHERE reloptions IS NOT NULL AND relnamespace = 'public'::regnamespace
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
        statements = [
            TRIGGERS,
            CLAIMS,
            *map(append_only_trigger, APPEND_ONLY),
            *months.STATEMENTS,
            *create_statements(),
        ]
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
            text(
                "SELECT count(*) FROM pg_tables "
                "WHERE schemaname IN ('public', 'dashboard', 'months')"
            )
        ).scalar_one()
    with pytest.raises(SchemaBehind, match="run `hitl migrate`"):
        check_schema(engine)
    migrate(engine)

    assert left == 1  # Alembic's own version table
    assert before == _definitions(engine)


def test_a_database_of_a_newer_version_is_not_told_to_migrate(engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0999'"))

    for ask in (check_schema, migrate):
        with pytest.raises(SchemaAhead, match=r"at schema 0999, which this version .* does not"):
            ask(engine)


def test_a_migration_may_take_longer_than_a_statement_of_a_flow(
    engine: Engine, database_url: str
) -> None:
    hasty = connect(database_url, statement_timeout_seconds=0.5)

    with ThreadPoolExecutor(1) as pool, engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": lock_key("migrate")})
        waits = pool.submit(migrate, hasty)
        time.sleep(1.0)
        other.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": lock_key("migrate")})

        assert waits.result()
    hasty.dispose()


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[Engine]:
    """A database without any schema of ours."""
    name = f"empty_{uuid.uuid4().hex[:8]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}"')
    engine = connect(_with_database(postgres_url, name))
    yield engine
    engine.dispose()
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


# Three months and one odd moment; and a model that learned from the first two decisions.
_FILL_0005 = """
    INSERT INTO items (item_id) SELECT 'i' || n FROM generate_series(1, 4) n;
    INSERT INTO decisions (item_id, model_version, decided_at, action, probabilities, payload_hash)
    SELECT 'i' || n, 'm', moment::timestamptz, 'allow', '{"hate": 0.5, "a": 1.0}', 'x'
    FROM unnest(ARRAY['2026-05-31T23:59:59.999999Z', '2026-06-01Z', '2026-07-01Z', '0900-01-01Z'])
        WITH ORDINALITY AS held (moment, n);
    INSERT INTO policies VALUES ('p', 'p', '1', '{}');
    INSERT INTO recipes VALUES ('r', '{}');
    INSERT INTO snapshots VALUES ('s', 'p', '/s', 1, 1, 1);
    INSERT INTO model_versions (model_version, policy_name, policy_id, recipe_id, snapshot_id, seed,
        state, path, digest, metrics)
    SELECT name, 'p', 'p', 'r', 's', seed, 'trained', '/m', 'd', metrics::jsonb FROM (VALUES
        ('some', 1, '{"decisions_upto": 2}'), ('none', 2, '{"decisions_upto": null}')
    ) AS made (name, seed, metrics);
"""


def test_decisions_of_before_the_months_come_along_and_back(empty_database: Engine) -> None:
    migrate(empty_database, revision="0005")
    said = "SELECT item_id, decided_at, model_version, action, probabilities, ingested_at FROM "
    with empty_database.begin() as tx:
        tx.execute(text(_FILL_0005))
        before = tx.execute(text(f"{said} decisions ORDER BY 1")).all()

    migrate(empty_database)

    with empty_database.begin() as tx:
        after = tx.execute(text(f"{said} decisions ORDER BY 1")).all()
        places = tx.execute(
            text("SELECT tableoid::regclass::text FROM decisions ORDER BY item_id")
        ).scalars()
        learned = tx.execute(
            text(
                "SELECT item_id FROM decisions, model_versions m WHERE m.model_version = 'some' "
                "AND ingested_at <= (metrics ->> 'decisions_upto')::timestamptz ORDER BY 1"
            )
        ).scalars()
        assert before == after
        assert ["05", "06", "07", "other"] == [one.rsplit("_", 1)[1] for one in places]
        assert ["i1", "i2"] == list(learned)
    config = _config()
    with empty_database.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, "0005")
        again = tx.execute(text(f"{said} decisions ORDER BY 1")).all()
        [hashed] = tx.execute(text("SELECT DISTINCT payload_hash FROM decisions")).scalars()
        assert before == again
        assert hashed == payload_hash(
            Decision(ItemId("i"), ModelVersion("m"), NOON, Action.ALLOW, {"hate": 0.5, "a": 1.0})
        )
        uptos = text("SELECT metrics -> 'decisions_upto' FROM model_versions ORDER BY seed")
        assert [2, None] == list(tx.execute(uptos).scalars())


@pytest.fixture
def plain_owner(postgres_url: str) -> Iterator[Engine]:
    """A database whose owner may not create roles, as on a server of somebody else's."""
    name = f"owned_{uuid.uuid4().hex[:8]}"
    _execute(postgres_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x' NOCREATEROLE")
    _execute(postgres_url, f"CREATE DATABASE {name} OWNER {name}")
    url = make_url(_with_database(postgres_url, name)).set(username=name, password="x")
    engine = connect(url.render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")
    _execute(postgres_url, f"DROP ROLE {name}")


def test_an_owner_who_may_not_create_roles_can_migrate_where_the_role_is_there(
    plain_owner: Engine, engine: Engine
) -> None:
    migrate(plain_owner)

    assert _definitions(engine) == _definitions(plain_owner)
    with begin(plain_owner) as tx:
        others = text("SELECT has_schema_privilege('public', 'public', 'USAGE')")
        assert tx.execute(others).scalar_one(), "the schema public is not ours alone"


def test_who_may_not_create_the_role_is_told_what_an_administrator_must_run(
    plain_owner: Engine,
) -> None:
    absent = CREATE_ROLE.replace(DASHBOARD_ROLE, "absent_role")

    with pytest.raises(DatabaseRefused) as raised, begin(plain_owner) as tx:
        tx.execute(text(absent))

    assert (
        "let an administrator run CREATE ROLE absent_role NOLOGIN; and migrate again (SQLSTATE"
    ) in str(raised.value)
