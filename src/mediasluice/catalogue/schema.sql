PRAGMA application_id = 1397511491;

PRAGMA user_version = 4;

CREATE TABLE account (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    UNIQUE (name)
);

CREATE TABLE capture (
    file INTEGER NOT NULL,
    version INTEGER NOT NULL,
    local TEXT NOT NULL,
    offset_minutes INTEGER,
    source TEXT NOT NULL,
    confidence TEXT NOT NULL,
    rejected TEXT,
    PRIMARY KEY (file)
);

CREATE TABLE content (
    id INTEGER NOT NULL,
    blake3 BLOB NOT NULL,
    xxh128 BLOB NOT NULL,
    size BIGINT NOT NULL,
    sha256 BLOB,
    md5 BLOB,
    sha1 BLOB,
    PRIMARY KEY (id)
);

CREATE TABLE ground (
    path BLOB NOT NULL,
    filesystem BLOB NOT NULL,
    PRIMARY KEY (path)
) WITHOUT ROWID;

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
);

CREATE UNIQUE INDEX job_alive ON job (kind, "key") WHERE ended_us IS NULL;

CREATE INDEX job_due ON job (due_us) WHERE state = 'queued';

CREATE INDEX job_ended ON job (ended_us) WHERE ended_us IS NOT NULL;

CREATE TABLE kin (
    home INTEGER NOT NULL,
    "key" BLOB NOT NULL,
    file INTEGER NOT NULL,
    PRIMARY KEY (home, "key", file)
) WITHOUT ROWID;

CREATE INDEX kin_file ON kin (file);

CREATE TABLE library (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE meta (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
) WITHOUT ROWID;

CREATE TABLE schedule (
    name TEXT NOT NULL,
    times TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;

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
) WITHOUT ROWID;

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
);

CREATE INDEX step_file ON step (file);

CREATE INDEX step_open ON step (id) WHERE state = 'open';

CREATE TABLE unread (
    file INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    due_us BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (file)
);

CREATE TABLE announced (
    sink TEXT NOT NULL,
    file INTEGER NOT NULL,
    path BLOB NOT NULL,
    content INTEGER,
    how TEXT NOT NULL,
    PRIMARY KEY (sink, file),
    FOREIGN KEY(sink) REFERENCES sink (name)
) WITHOUT ROWID;

CREATE INDEX announced_content ON announced (sink, content) WHERE content IS NOT NULL;

CREATE INDEX announced_path ON announced (sink, path);

CREATE TABLE damage (
    file INTEGER NOT NULL,
    version INTEGER NOT NULL,
    content INTEGER NOT NULL,
    blake3 BLOB NOT NULL,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (file),
    FOREIGN KEY(content) REFERENCES content (id)
);

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
) WITHOUT ROWID;

CREATE TABLE digest (
    blake3 BLOB NOT NULL,
    content INTEGER NOT NULL,
    PRIMARY KEY (blake3),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID;

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
) WITHOUT ROWID;

CREATE INDEX external_due ON external (source, due_us) WHERE due_us IS NOT NULL;

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
);

CREATE UNIQUE INDEX item_content ON item (scope, content);

CREATE INDEX item_file ON item (file);

CREATE INDEX item_path ON item (path) WHERE path IS NOT NULL;

CREATE TABLE job_mark (
    job INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (job, name),
    FOREIGN KEY(job) REFERENCES job (id)
) WITHOUT ROWID;

CREATE TABLE likeness (
    content INTEGER NOT NULL,
    pictures BLOB,
    sound BLOB,
    duration FLOAT,
    PRIMARY KEY (content),
    FOREIGN KEY(content) REFERENCES content (id)
);

CREATE TABLE product (
    what TEXT NOT NULL,
    content INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (what, content),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID;

CREATE TABLE reading (
    content INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    found TEXT NOT NULL,
    pair TEXT,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (content),
    FOREIGN KEY(content) REFERENCES content (id)
);

CREATE INDEX reading_pair ON reading (pair) WHERE pair IS NOT NULL;

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
) WITHOUT ROWID;

CREATE INDEX rendition_blake3 ON rendition (blake3);

CREATE INDEX rendition_due ON rendition (due_us) WHERE state = 'waiting';

CREATE TABLE root (
    id INTEGER NOT NULL,
    library INTEGER NOT NULL,
    path BLOB NOT NULL,
    filesystem BLOB,
    ino BIGINT,
    state TEXT NOT NULL,
    reason TEXT,
    since_us BIGINT NOT NULL,
    watched TEXT NOT NULL,
    baseline_us BIGINT,
    PRIMARY KEY (id),
    FOREIGN KEY(library) REFERENCES library (id),
    UNIQUE (path)
);

CREATE TABLE stream (
    content INTEGER NOT NULL,
    number INTEGER NOT NULL,
    type TEXT NOT NULL,
    codec TEXT NOT NULL,
    digest BLOB NOT NULL,
    duration FLOAT,
    PRIMARY KEY (content, number),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID;

CREATE INDEX stream_digest ON stream (digest);

CREATE TABLE dir (
    id INTEGER NOT NULL,
    root INTEGER NOT NULL,
    path BLOB NOT NULL,
    signature BLOB,
    mtime_ns BIGINT,
    PRIMARY KEY (id),
    UNIQUE (root, path),
    FOREIGN KEY(root) REFERENCES root (id)
);

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
);

CREATE INDEX judgement_again ON judgement (file) WHERE judgement = 'again';

CREATE INDEX judgement_item ON judgement (item);

CREATE INDEX judgement_todo ON judgement (due_us) WHERE todo IS NOT NULL;

CREATE TABLE learned (
    root INTEGER NOT NULL,
    directory BLOB NOT NULL,
    extension BLOB NOT NULL,
    quiet_s FLOAT NOT NULL,
    PRIMARY KEY (root, directory, extension),
    FOREIGN KEY(root) REFERENCES root (id)
) WITHOUT ROWID;

CREATE TABLE mount (
    root INTEGER NOT NULL,
    path BLOB NOT NULL,
    filesystem BLOB NOT NULL,
    ino BIGINT NOT NULL,
    PRIMARY KEY (root, path),
    FOREIGN KEY(root) REFERENCES root (id)
) WITHOUT ROWID;

CREATE TABLE event (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    file INTEGER,
    version INTEGER,
    dir INTEGER NOT NULL,
    name BLOB NOT NULL,
    old_dir INTEGER,
    old_name BLOB,
    size BIGINT,
    content INTEGER,
    origin TEXT,
    data TEXT,
    FOREIGN KEY(dir) REFERENCES dir (id),
    FOREIGN KEY(old_dir) REFERENCES dir (id),
    FOREIGN KEY(content) REFERENCES content (id)
);

CREATE INDEX event_dir ON event (dir);

CREATE INDEX event_file ON event (file);

CREATE INDEX event_old_dir ON event (old_dir) WHERE old_dir IS NOT NULL;

CREATE TABLE file (
    id INTEGER NOT NULL,
    dir INTEGER NOT NULL,
    name BLOB NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    ctime_ns BIGINT NOT NULL,
    ino BIGINT NOT NULL,
    links INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    content INTEGER,
    quick BLOB,
    version INTEGER NOT NULL,
    at_us BIGINT NOT NULL,
    gone_us BIGINT,
    birth_ns BIGINT,
    PRIMARY KEY (id),
    FOREIGN KEY(dir) REFERENCES dir (id),
    FOREIGN KEY(content) REFERENCES content (id)
);

CREATE INDEX file_copy ON file (content, ino) WHERE state = 'catalogued' AND content IS NOT NULL;

CREATE INDEX file_gone ON file (state, gone_us) WHERE gone_us IS NOT NULL;

CREATE INDEX file_gone_content ON file (content, state, ino) WHERE gone_us IS NOT NULL;

CREATE INDEX file_gone_inode ON file (ino) WHERE gone_us IS NOT NULL;

CREATE INDEX file_gone_quick ON file (quick) WHERE gone_us IS NOT NULL;

CREATE INDEX file_lacking ON file (id) WHERE state = 'catalogued' AND content IS NULL;

CREATE INDEX file_missing ON file (dir, name) WHERE state = 'missing';

CREATE UNIQUE INDEX file_path ON file (dir, name) WHERE state <> 'missing';

CREATE TABLE member (
    file INTEGER NOT NULL,
    home INTEGER NOT NULL,
    master INTEGER,
    role TEXT,
    follows INTEGER,
    PRIMARY KEY (file),
    FOREIGN KEY(home) REFERENCES dir (id)
);

CREATE INDEX member_follows ON member (follows) WHERE follows IS NOT NULL;

CREATE INDEX member_master ON member (master) WHERE master IS NOT NULL;

CREATE TABLE file_version (
    file INTEGER NOT NULL,
    version INTEGER NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    content INTEGER,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (file, version),
    FOREIGN KEY(file) REFERENCES file (id),
    FOREIGN KEY(content) REFERENCES content (id)
) WITHOUT ROWID;

CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);

INSERT INTO alembic_version VALUES ('0004');
