"""The database: the schema on one page, connections, locks, migrations."""

from hitl.db.engine import BadDatabaseURL, DatabaseUnavailable, begin, connect
from hitl.db.locks import AlreadyRunning, single_flight
from hitl.db.migrate import SchemaBehind, check_schema, migrate

__all__ = [
    "AlreadyRunning",
    "BadDatabaseURL",
    "DatabaseUnavailable",
    "SchemaBehind",
    "begin",
    "check_schema",
    "connect",
    "migrate",
    "single_flight",
]
