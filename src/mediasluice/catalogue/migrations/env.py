"""Alembic's way into the migrations: always on a connection that the caller opened, inside its transaction."""

from alembic import context

from mediasluice.catalogue.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table by making it anew
    transactional_ddl=False,  # the caller's transaction holds all revisions: Alembic begins none of its own
)
context.run_migrations()
