"""Errors of the database say what to do, and never what was in a row."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from hitl.db import (
    BadDatabaseURL,
    DatabaseRefused,
    DatabaseUnavailable,
    LoginRefused,
    begin,
    connect,
)
from hitl.errors import HitlError

CANARY = "canary words of a person"


def told(raised: pytest.ExceptionInfo[HitlError]) -> str:
    """All that a traceback of it would print."""
    return "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://me:secret@host:secretport/db", "not a database URL"),
        ("secret", "not a database URL"),
        ("mysql://me:secret@host/db", "does not begin with postgresql"),
        ("postgresql://me:s@secret@host/db", "an @ in the password must be written %40"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_a_piece_of_it(url: str, why: str) -> None:
    with pytest.raises(BadDatabaseURL, match=why) as raised:
        connect(url)

    assert "secret" not in told(raised)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            f"INSERT INTO items (item_id, text) VALUES ('i1', '{CANARY}')",
            'says: new row for relation "items" violates check constraint '
            '"ck_items_hash_with_text" (SQLSTATE 23514, table items, constraint '
            "ck_items_hash_with_text). Nothing of this transaction was kept",
        ),
        (
            "INSERT INTO annotation_rejects (unique_id, updated_at, reason) "
            f"VALUES ('{CANARY}', now(), 'x')",
            "SQLSTATE 23503, table annotation_rejects, constraint fk_annotation_rejects",
        ),
        (f"SELECT CAST('{CANARY}' AS int)", "could not store a value; this is a gap in our own"),
        (f"SELECT '{CANARY}' FROM nowhere", "would not do a statement; please report it (SQLSTATE"),
        ("SET ROLE hitl_dashboard; DELETE FROM items", "says: permission denied for table items"),
        (
            "SET LOCAL statement_timeout = 20; SELECT pg_sleep(5)",
            "stopped a statement that took too long or that somebody cancelled; see what else",
        ),
        (
            "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$",
            "has no room left on its disk; make room, then run the command again (SQLSTATE 53100)",
        ),
    ],
)
def test_a_statement_that_is_refused_names_things_and_no_row(
    engine: Engine, statement: str, message: str
) -> None:
    with pytest.raises(DatabaseRefused) as raised, begin(engine) as tx:
        tx.execute(text(statement))

    assert message in str(raised.value)
    assert CANARY not in told(raised)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("deadlock_detected", "let another transaction go first"),
        ("serialization_failure", "let another transaction go first"),
        ("too_many_connections", "has no free connection"),
        ("admin_shutdown", "does not answer"),
        ("connection_failure", "does not answer"),
    ],
)
def test_what_passes_by_itself_can_be_tried_again(engine: Engine, code: str, message: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=message), begin(engine) as tx:
        tx.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"))


@pytest.mark.postgres
def test_parameters_never_show_in_an_error(engine: Engine) -> None:
    with pytest.raises(DatabaseRefused) as raised, begin(engine) as tx:
        tx.execute(text("SELECT CAST(:body AS int)"), {"body": CANARY})

    assert engine.hide_parameters
    assert CANARY not in told(raised)


@pytest.fixture
def stranger(postgres_url: str, database_url: str) -> Iterator[str]:
    """The URL of a login that may do nothing."""
    name = f"stranger_{uuid.uuid4().hex[:8]}"
    admin = connect(postgres_url)
    with begin(admin) as tx:
        tx.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'open sesame'"))
    yield (
        make_url(database_url)
        .set(username=name, password="open sesame")
        .render_as_string(hide_password=False)
    )
    with begin(admin) as tx:
        tx.execute(text(f"DROP ROLE {name}"))
    admin.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"password": "wrong secret"}, "does not know this user or password; mend HITL_DATABASE"),
        ({"username": "nobody_here"}, "does not know this user or password"),
        ({"database": "not_here"}, "does not have this user or this database"),
    ],
)
def test_a_login_that_is_refused_is_not_tried_again(
    stranger: str, changed: dict[str, str], message: str
) -> None:
    url = make_url(stranger).set(**changed).render_as_string(hide_password=False)  # type: ignore[arg-type]
    lost = connect(url)

    with pytest.raises(LoginRefused, match=message) as raised, begin(lost):
        pass

    assert "secret" not in told(raised)
