-- The schema of madang.db. Comments inside a table stay in the file: `sqlite3 madang.db .schema`.
-- A column that ends in _at (and events.at) is a moment in milliseconds since
-- 1970-01-01T00:00:00Z; datetime(connected_at / 1000, 'unixepoch') shows one.

CREATE TABLE meta (
    -- 'epoch' names the history of all rooms together. Whoever puts an older copy of the file in
    -- place gives it another value, so that clients do not take new events for those they had.
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('epoch', lower(hex(randomblob(4))));

-- One run of the server, from its start to its end.
CREATE TABLE runs (
    id         INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,
    stopped_at INTEGER, -- NULL while it runs; of a lost run, its last sign of life
    ending     TEXT CHECK (ending IN ('stopped', 'lost')), -- 'lost': killed, or the machine stopped
    CHECK ((stopped_at IS NULL) = (ending IS NULL))
) STRICT;

CREATE TABLE users (
    id           TEXT NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL, -- what the user was called last
    guest        INTEGER NOT NULL CHECK (guest IN (0, 1)), -- 1: came by a name, has no account
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL -- when a session of the user last opened or closed
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    hash       BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the token
    user_id    TEXT NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rooms (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE, -- in NFC
    epoch      TEXT NOT NULL DEFAULT (lower(hex(randomblob(4)))), -- names this room's log
    kind       TEXT NOT NULL CHECK (kind IN ('open')), -- 'open': anyone may read and write
    created_at INTEGER NOT NULL,
    -- The first event that is kept. Whoever deletes older ones raises it in the same transaction,
    -- so that no number is ever used twice.
    first_seq  INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE events (
    id         INTEGER PRIMARY KEY, -- order of arrival over all rooms
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    seq        INTEGER NOT NULL, -- 1, 2, 3 … within the room, without a hole
    at         INTEGER NOT NULL, -- never goes backwards within a room
    user_id    TEXT NOT NULL,    -- who made it, not necessarily someone who ever connected
    user_name  TEXT NOT NULL,    -- what they were called then
    user_guest INTEGER NOT NULL, -- 1: they were a guest then
    kind       TEXT NOT NULL,    -- 'message'
    text       TEXT,
    data       TEXT,             -- JSON, byte for byte as it was sent
    key        TEXT,             -- the sender's own name for it
    reply_to   INTEGER           -- the seq that it answers
) STRICT;

CREATE UNIQUE INDEX events_by_room ON events (room_id, seq);

-- What makes a retry safe: a key stands for its message for 24 hours, then it is free again.
CREATE TABLE message_keys (
    key     TEXT NOT NULL,    -- first in the primary key, so that time-ordered keys append
    user_id TEXT NOT NULL,
    room_id INTEGER NOT NULL, -- with seq and at: where and when the message was stored
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    content BLOB NOT NULL,    -- SHA-256 of the content, which tells a retry from another message
    PRIMARY KEY (key, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id           TEXT NOT NULL PRIMARY KEY, -- a ULID: sorts by the time of connecting
    run_id       INTEGER NOT NULL REFERENCES runs (id),
    user_id      TEXT NOT NULL REFERENCES users (id),
    user_name    TEXT NOT NULL, -- what the user was called then
    address      TEXT NOT NULL, -- where the client connected from
    user_agent   TEXT,          -- what the client called itself
    connected_at INTEGER NOT NULL,
    state        TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
    closed_at    INTEGER,       -- of a session in a lost run, the run's last sign of life
    close_code   INTEGER,       -- RFC 6455 §7.4; 1006: without a closing handshake
    close_reason TEXT,          -- why, in words
    CHECK ((state = 'open') = (closed_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_id, id);
CREATE INDEX sessions_open ON sessions (id) WHERE state = 'open';

CREATE TABLE subscriptions (
    session_id TEXT NOT NULL REFERENCES sessions (id),
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    since_at   INTEGER NOT NULL,
    until_at   INTEGER, -- NULL while it lasts; sessions.closed_at if it ended with the session
    PRIMARY KEY (session_id, room_id, since_at)
) STRICT, WITHOUT ROWID;

CREATE INDEX subscriptions_by_room ON subscriptions (room_id, until_at);
