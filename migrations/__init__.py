"""Alembic migrations. From empty they give exactly `hitl.db.schema` (tests/db)."""
