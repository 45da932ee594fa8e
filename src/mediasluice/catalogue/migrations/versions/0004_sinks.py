"""What sinks got of the event log, what they could not take, and what they were told."""

from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = (
    """
CREATE TABLE sink (
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    epoch TEXT NOT NULL,
    cursor BIGINT NOT NULL,
    done TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    since_us BIGINT NOT NULL,
    lagged BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID
    """,
    """
CREATE TABLE dead_letter (
    sink TEXT NOT NULL,
    seq BIGINT NOT NULL,
    state TEXT NOT NULL,
    keys TEXT NOT NULL,
    tries INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (sink, seq),
    FOREIGN KEY(sink) REFERENCES sink (name)
) WITHOUT ROWID
    """,
    """
CREATE TABLE announced (
    sink TEXT NOT NULL,
    file INTEGER NOT NULL,
    path BLOB NOT NULL,
    content INTEGER,
    how TEXT NOT NULL,
    PRIMARY KEY (sink, file),
    FOREIGN KEY(sink) REFERENCES sink (name)
) WITHOUT ROWID
    """,
    """
CREATE INDEX announced_content ON announced (sink, content) WHERE content IS NOT NULL
    """,
    """
CREATE INDEX announced_path ON announced (sink, path)
    """,
)


def upgrade() -> None:
    """Add the tables. A sink that is in the document begins at the head of the log, as a new one does."""
    for statement in _TABLES:
        op.execute(statement.strip())
