//! Madang's memory: rooms, their logs and the register of sessions, in SQLite.
