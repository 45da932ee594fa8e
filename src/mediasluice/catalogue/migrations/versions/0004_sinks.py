"""What sinks got of the event log, could not take, and were told; jobs and what they found."""

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
    turn BIGINT NOT NULL,
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
    """
CREATE TABLE job (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    "key" TEXT NOT NULL,
    library TEXT,
    args TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    cancelling INTEGER NOT NULL,
    due_us BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    started_us BIGINT,
    ended_us BIGINT,
    done BIGINT,
    total BIGINT,
    reason TEXT,
    result TEXT
)
    """,
    """
CREATE UNIQUE INDEX job_alive ON job (kind, "key") WHERE ended_us IS NULL
    """,
    """
CREATE INDEX job_due ON job (due_us) WHERE state = 'queued'
    """,
    """
CREATE INDEX job_ended ON job (ended_us) WHERE ended_us IS NOT NULL
    """,
    """
CREATE TABLE job_mark (
    job INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (job, name),
    FOREIGN KEY(job) REFERENCES job (id)
) WITHOUT ROWID
    """,
    """
CREATE TABLE schedule (
    name TEXT NOT NULL,
    times TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID
    """,
    """
CREATE TABLE damage (
    file INTEGER NOT NULL,
    version INTEGER NOT NULL,
    content INTEGER NOT NULL,
    blake3 BLOB NOT NULL,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (file),
    FOREIGN KEY(content) REFERENCES content (id)
)
    """,
)


def upgrade() -> None:
    """Add the tables. A sink that is in the document begins at the head of the log, as a new one does."""
    for statement in _TABLES:
        op.execute(statement.strip())
