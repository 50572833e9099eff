-- What the register is asked for: sessions by address, those that closed lately, and those of a room.
-- Newest first is the order of the primary key, a ULID, so each index ends with it.

CREATE INDEX sessions_by_address ON sessions (address, id);
CREATE INDEX sessions_by_close ON sessions (closed_at) WHERE closed_at IS NOT NULL;

-- In place of one by (room_id, until_at), which had no order of sessions.
DROP INDEX subscriptions_by_room;
CREATE INDEX subscriptions_by_room ON subscriptions (room_id, session_id);
CREATE INDEX subscriptions_open ON subscriptions (room_id, session_id) WHERE until_at IS NULL;
