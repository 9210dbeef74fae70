"""The views: `current_votes`, `current_labels`, `examples`, and the `dashboard` contract."""

from __future__ import annotations

from hitl.db.views.dashboard import CREATE_ROLE, DASHBOARD_ROLE, DASHBOARD_VIEWS, GRANTS
from hitl.db.views.working import WORKING_VIEWS

__all__ = [
    "CREATE_ROLE",
    "DASHBOARD_ROLE",
    "DASHBOARD_VIEWS",
    "GRANTS",
    "WORKING_VIEWS",
    "create_statements",
]


def create_statements() -> list[str]:
    """Every statement that makes the views, in an order that works on an empty database."""
    made = [f"CREATE VIEW {name} AS {body}" for name, body in WORKING_VIEWS.items()]
    made.append("CREATE SCHEMA dashboard")
    made += [f"CREATE VIEW dashboard.{name} AS {body}" for name, body in DASHBOARD_VIEWS.items()]
    made.append(CREATE_ROLE)
    made += GRANTS
    return made
