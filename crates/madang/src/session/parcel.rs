//! Bytes for many connections, written in one call of the system.

use bytes::Bytes;

use super::{AnySession, Lent};
use crate::line::Line;

/// A session's bytes, with what it takes to write them.
pub(crate) struct Parcel<'s> {
    session: &'s AnySession,
    outgoing: Lent<'s>,
    bytes: Bytes,
}

impl<'s> Parcel<'s> {
    /// For a session that has a [line](super::Outgoing::line).
    pub(crate) fn new(session: &'s AnySession, outgoing: Lent<'s>, bytes: Bytes) -> Self {
        Self {
            session,
            outgoing,
            bytes,
        }
    }

    /// Writes each to its connection, and wakes those who have to go on with it.
    pub(crate) fn write_each(parcels: Vec<Self>) {
        let mut lines = Vec::with_capacity(parcels.len());
        lines.extend(parcels.iter().filter_map(|parcel| {
            let line = parcel.outgoing.line()?;
            Some((line, &parcel.bytes))
        }));
        let written = Line::write_each(&lines);
        for (mut parcel, written) in parcels.into_iter().zip(written) {
            if parcel.outgoing.carried(&parcel.bytes, written) {
                drop(parcel.outgoing);
                parcel.session.wake();
            }
        }
    }
}
