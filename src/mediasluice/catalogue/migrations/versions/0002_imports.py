"""What imports need: accounts, items, judgements, the journal of steps."""

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = (
    """
CREATE TABLE ground (
    path BLOB NOT NULL,
    filesystem BLOB NOT NULL,
    PRIMARY KEY (path)
) WITHOUT ROWID
    """,
    """
CREATE TABLE account (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    UNIQUE (name)
)
    """,
    """
CREATE TABLE step (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL,
    item INTEGER,
    purpose TEXT NOT NULL,
    mode TEXT NOT NULL,
    source BLOB NOT NULL,
    target BLOB NOT NULL,
    ino BIGINT NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    ctime_ns BIGINT NOT NULL,
    blake3 BLOB NOT NULL,
    state TEXT NOT NULL,
    note TEXT,
    at_us BIGINT NOT NULL,
    ended_us BIGINT
)
    """,
    """
CREATE INDEX step_file ON step (file)
    """,
    """
CREATE INDEX step_open ON step (id) WHERE state = 'open'
    """,
    """
CREATE TABLE item (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL,
    content INTEGER NOT NULL,
    library INTEGER NOT NULL,
    owner INTEGER,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    path BLOB,
    file INTEGER NOT NULL,
    at_us BIGINT NOT NULL,
    FOREIGN KEY(content) REFERENCES content (id),
    FOREIGN KEY(library) REFERENCES library (id),
    FOREIGN KEY(owner) REFERENCES account (id)
)
    """,
    """
CREATE UNIQUE INDEX item_content ON item (scope, content)
    """,
    """
CREATE INDEX item_file ON item (file)
    """,
    """
CREATE INDEX item_path ON item (path) WHERE path IS NOT NULL
    """,
    """
CREATE TABLE judgement (
    file INTEGER NOT NULL,
    version INTEGER NOT NULL,
    judgement TEXT NOT NULL,
    item INTEGER,
    reason TEXT,
    todo TEXT,
    due_us BIGINT,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (file),
    FOREIGN KEY(item) REFERENCES item (id)
)
    """,
    """
CREATE INDEX judgement_again ON judgement (file) WHERE judgement = 'again'
    """,
    """
CREATE INDEX judgement_item ON judgement (item)
    """,
    """
CREATE INDEX judgement_todo ON judgement (due_us) WHERE todo IS NOT NULL
    """,
)


def upgrade() -> None:
    """Add the tables, and when the first pass over each root was through."""
    for statement in _TABLES:
        op.execute(statement.strip())
    op.execute("ALTER TABLE root ADD COLUMN baseline_us BIGINT")
    op.execute("UPDATE root SET baseline_us = since_us WHERE id IN (SELECT root FROM dir)")  # it was passed over before
