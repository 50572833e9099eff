//! The chat domain as values: names, commands, events, presence. No IO.
