-- The first schema. Instants are milliseconds since 1970-01-01 UTC; `wall` is seconds on the log's
-- own clock; ids, identities and keys are 16 bytes. What each code means: `sqlite/code.rs`.

-- Names of receivers, rules, sources and repositories, written once and meant by number.
CREATE TABLE names (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- The repositories that are read. Staged rows of a walk up to `sealed_walk` are sealed.
CREATE TABLE repos (
    id          INTEGER PRIMARY KEY,
    source      TEXT NOT NULL,
    repo        TEXT NOT NULL,
    cursor      TEXT,
    sealed_walk INTEGER NOT NULL DEFAULT 0,
    UNIQUE (source, repo)
);

-- The cursors' windows.
CREATE TABLE known (
    repo         INTEGER NOT NULL,
    wall         INTEGER NOT NULL,
    identity     BLOB NOT NULL,
    copies       INTEGER NOT NULL,
    next_ordinal INTEGER NOT NULL,
    PRIMARY KEY (repo, wall, identity)
) WITHOUT ROWID;

-- Rows that were walked and are not yet entries, in the order walked.
CREATE TABLE staged (
    seq      INTEGER PRIMARY KEY,
    repo     INTEGER NOT NULL,
    walk     INTEGER NOT NULL,
    wall     INTEGER NOT NULL,
    id       BLOB NOT NULL,
    identity BLOB NOT NULL,
    ordinal  INTEGER NOT NULL,
    revises  INTEGER NOT NULL,
    fields   TEXT NOT NULL
);
CREATE INDEX staged_oldest ON staged (repo, wall, seq DESC);

-- Entries. `origin` is the repository that was asked for, `repo` the one that the row names.
CREATE TABLE entries (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL,
    origin   INTEGER NOT NULL,
    repo     INTEGER NOT NULL,
    identity BLOB NOT NULL,
    ordinal  INTEGER NOT NULL,
    revises  INTEGER NOT NULL,
    taken_at INTEGER NOT NULL,
    matched  TEXT,
    fields   TEXT NOT NULL
);
CREATE UNIQUE INDEX entries_id ON entries (id);
CREATE INDEX entries_repo ON entries (repo);

-- What a notification is: written once. How it fares is in `outbox`, under the same `seq`, so that
-- a claim and a settlement rewrite a narrow row and never the payload.
CREATE TABLE messages (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL,
    entry    INTEGER,
    source   INTEGER NOT NULL,
    reason   INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    held_by  INTEGER,
    key      BLOB NOT NULL,
    entries  BLOB NOT NULL,
    key_json TEXT NOT NULL,
    format   INTEGER,
    payload  TEXT
);
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE INDEX messages_entry ON messages (entry) WHERE entry IS NOT NULL;

-- The entries of a message after its first, by their `seq`.
CREATE TABLE tells (
    message INTEGER NOT NULL,
    entry   INTEGER NOT NULL,
    PRIMARY KEY (message, entry)
) WITHOUT ROWID;
CREATE INDEX tells_entry ON tells (entry);

-- How each notification fares. `state`: 0 pending, 1 sending, 2 delivered, 3 dead, 4 folded,
-- 5 held. `live` is 1 in the first two: an index on `state < 2` could not answer without the row.
-- `due_at` is null while it stands `behind` another of its (receiver, key); `next` is who stands
-- behind it. `key` is the first eight bytes of the message's. `detail` is set where the last outcome needs no row in `attempts`.
CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY,
    receiver    INTEGER NOT NULL,
    rule        INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    live        INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    due_at      INTEGER,
    behind      INTEGER,
    next        INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    plain       INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER,
    ended_at    INTEGER,
    status      INTEGER,
    detail      TEXT,
    folded_into INTEGER
);
CREATE INDEX outbox_due ON outbox (receiver, due_at) WHERE state = 0 AND due_at IS NOT NULL;
CREATE INDEX outbox_live ON outbox (receiver) WHERE live = 1;
CREATE INDEX outbox_dead ON outbox (receiver) WHERE state = 3;

-- The last row of each (receiver, key), living or not.
CREATE TABLE lines (
    receiver INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    PRIMARY KEY (receiver, key)
) WITHOUT ROWID;

-- Attempts, but for one that delivered at once and had nothing else to say: `outbox` holds that.
CREATE TABLE attempts (
    message    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    took_ms    INTEGER NOT NULL,
    outcome    TEXT NOT NULL,
    captured   TEXT,
    PRIMARY KEY (message, number)
) WITHOUT ROWID;

CREATE TABLE lanes (
    receiver TEXT PRIMARY KEY,
    record   TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE state (
    name   TEXT PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE rule_counts (
    rule    TEXT PRIMARY KEY,
    matched INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Rows that could not be understood; `hash` is over all of the text.
CREATE TABLE rejected (
    seq     INTEGER PRIMARY KEY,
    hash    BLOB NOT NULL UNIQUE,
    source  TEXT NOT NULL,
    repo    TEXT NOT NULL,
    raw     TEXT NOT NULL,
    reason  TEXT NOT NULL,
    seen_at INTEGER NOT NULL
);

-- Written by the probe, so that it has something to write.
CREATE TABLE probes (
    id    INTEGER PRIMARY KEY,
    count INTEGER NOT NULL
);
INSERT INTO probes (id, count) VALUES (1, 0);
