"""What the second pass finds out: readings of contents, capture times, which files belong together; birth times."""

from alembic import op

revision = "0003"
down_revision = "0002"

_TABLES = (
    """
ALTER TABLE file ADD COLUMN birth_ns BIGINT
    """,
    """
CREATE INDEX file_gone_inode ON file (ino) WHERE gone_us IS NOT NULL
    """,
    """
CREATE TABLE capture (
    file INTEGER NOT NULL,
    version INTEGER NOT NULL,
    local TEXT NOT NULL,
    offset_minutes INTEGER,
    source TEXT NOT NULL,
    confidence TEXT NOT NULL,
    rejected TEXT,
    PRIMARY KEY (file)
)
    """,
    """
CREATE TABLE unread (
    file INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    due_us BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (file)
)
    """,
    """
CREATE TABLE reading (
    content INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    found TEXT NOT NULL,
    pair TEXT,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (content),
    FOREIGN KEY(content) REFERENCES content (id)
)
    """,
    """
CREATE INDEX reading_pair ON reading (pair) WHERE pair IS NOT NULL
    """,
    """
CREATE TABLE member (
    file INTEGER NOT NULL,
    home INTEGER NOT NULL,
    master INTEGER,
    role TEXT,
    follows INTEGER,
    PRIMARY KEY (file),
    FOREIGN KEY(home) REFERENCES dir (id)
)
    """,
    """
CREATE INDEX member_master ON member (master) WHERE master IS NOT NULL
    """,
    """
CREATE INDEX member_follows ON member (follows) WHERE follows IS NOT NULL
    """,
    """
CREATE TABLE kin (
    home INTEGER NOT NULL,
    "key" BLOB NOT NULL,
    file INTEGER NOT NULL,
    PRIMARY KEY (home, "key", file)
) WITHOUT ROWID
    """,
    """
CREATE INDEX kin_file ON kin (file)
    """,
    """
CREATE TABLE external (
    content INTEGER NOT NULL,
    source TEXT NOT NULL,
    place INTEGER NOT NULL,
    found TEXT,
    tries INTEGER NOT NULL,
    due_us BIGINT,
    reason TEXT,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (content, source),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID
    """,
    """
CREATE INDEX external_due ON external (source, due_us) WHERE due_us IS NOT NULL
    """,
    """
CREATE TABLE product (
    what TEXT NOT NULL,
    content INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (what, content),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID
    """,
    """
CREATE TABLE stream (
    content INTEGER NOT NULL,
    number INTEGER NOT NULL,
    type TEXT NOT NULL,
    codec TEXT NOT NULL,
    digest BLOB NOT NULL,
    duration FLOAT,
    PRIMARY KEY (content, number),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID
    """,
    """
CREATE INDEX stream_digest ON stream (digest)
    """,
    """
CREATE TABLE likeness (
    content INTEGER NOT NULL,
    pictures BLOB,
    sound BLOB,
    duration FLOAT,
    PRIMARY KEY (content),
    FOREIGN KEY(content) REFERENCES content (id)
)
    """,
    """
CREATE TABLE rendition (
    content INTEGER NOT NULL,
    profile TEXT NOT NULL,
    blake3 BLOB NOT NULL,
    extension TEXT NOT NULL,
    state TEXT NOT NULL,
    size BIGINT,
    duration FLOAT,
    program TEXT,
    reason TEXT,
    tries INTEGER NOT NULL,
    due_us BIGINT,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (content, profile),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID
    """,
    """
CREATE INDEX rendition_blake3 ON rendition (blake3)
    """,
    """
CREATE INDEX rendition_due ON rendition (due_us) WHERE state = 'waiting'
    """,
)


def upgrade() -> None:
    """Add the tables. What is catalogued is read by following the event log from its beginning.

    Birth times are known of files that are read from now on: nothing is read for them alone.
    """
    for statement in _TABLES:
        op.execute(statement.strip())
