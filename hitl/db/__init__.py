"""The database: the schema, connections, locks, migrations."""

from hitl.db.engine import (
    BadDatabaseURL,
    DatabaseRefused,
    DatabaseUnavailable,
    LoginRefused,
    begin,
    connect,
)
from hitl.db.locks import AlreadyRunning, single_flight
from hitl.db.migrate import SchemaAhead, SchemaBehind, check_schema, migrate
from hitl.db.scratch import count_rows, scratch_database
from hitl.db.versions import UnknownPolicy, keep_policy, keep_recipe, list_policies

__all__ = [
    "AlreadyRunning",
    "BadDatabaseURL",
    "DatabaseRefused",
    "DatabaseUnavailable",
    "LoginRefused",
    "SchemaAhead",
    "SchemaBehind",
    "UnknownPolicy",
    "begin",
    "check_schema",
    "connect",
    "count_rows",
    "keep_policy",
    "keep_recipe",
    "list_policies",
    "migrate",
    "scratch_database",
    "single_flight",
]
