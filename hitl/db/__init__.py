"""The database: the schema on one page, connections, locks, migrations."""

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
    "keep_policy",
    "keep_recipe",
    "list_policies",
    "migrate",
    "single_flight",
]
