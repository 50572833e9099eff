-- Calls: questions to services, and what came of them.

CREATE TABLE calls (
    id          TEXT NOT NULL PRIMARY KEY, -- a ULID: sorts by the time of asking. c_… and t_… before it
    service     TEXT NOT NULL,
    method      TEXT NOT NULL,
    user_id     TEXT NOT NULL,    -- who asks, not necessarily someone who ever connected
    user_name   TEXT NOT NULL,    -- what they were called then
    user_guest  INTEGER NOT NULL, -- 1: they were a guest then
    key         TEXT,             -- the caller's own name for it: stands for it as long as the row is there
    at          INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL, -- until when it must be answered
    given_to    TEXT,    -- the user whose service has it, where no other may be given it too; NULL: any may
    answered_at INTEGER, -- NULL while it is open; then there is either a result or a code
    code        TEXT,    -- why there is no result, for programs
    message     TEXT,    -- the same for people
    -- These two may be long, and stand last: what is read past them need not be.
    params      TEXT NOT NULL, -- JSON, byte for byte as it was sent
    result      TEXT,          -- JSON, byte for byte as it was sent
    CHECK ((answered_at IS NULL) = (result IS NULL AND code IS NULL)),
    CHECK ((code IS NULL) = (message IS NULL)),
    CHECK (result IS NULL OR code IS NULL)
) STRICT; -- with a rowid: without, a row of more than 1,000 bytes takes a page of its own

-- The key comes first, so that time-ordered keys append.
CREATE UNIQUE INDEX calls_by_key ON calls (key, user_id) WHERE key IS NOT NULL;
