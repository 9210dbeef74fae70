"""Alembic's entry: runs inside the transaction that `hitl.db.migrate` opened."""

from alembic import context

from hitl.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
