//! What is heard of a call, as server-sent events (WHATWG HTML §9.2).

use std::{convert::Infallible, time::Duration};

use ::rooms::{Answer, Ticket};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{
    Stream, StreamExt,
    stream::{once, unfold},
};
use serde::Serialize;

use super::{
    tickets::body,
    waiting::{End, Heard, Waiting},
};
use crate::reads::{RETRY_MS, jittered};

/// Between two comments to a client that there is nothing to tell, so that nobody on the way takes the
/// connection for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Has nginx pass on what comes when it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Whether a client asks for events.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    let ranges = accepts.filter_map(|accept| accept.to_str().ok());
    ranges.flat_map(|accept| accept.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// Everything of a call that is open, until its end or the server's.
pub(super) fn of(waiting: Waiting) -> Response {
    response(unfold(Some(waiting), async |waiting| {
        let mut waiting = waiting?;
        Some(match waiting.next().await {
            Heard::Progress(data) => (event("progress", &data), Some(waiting)),
            Heard::End(end) => (end_event(end), None),
            // The client comes back by itself, and not when all others do.
            Heard::Ending => {
                let retry = Duration::from_millis(jittered(RETRY_MS * 5));
                (Event::default().retry(retry), None)
            }
        })
    }))
}

/// The end of a call that is answered.
pub(super) fn last(end: (Ticket, Answer)) -> Response {
    response(once(std::future::ready(end_event(Ok(end)))))
}

fn response(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.map(Ok::<_, Infallible>);
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let no = HeaderValue::from_static("no");
    ([(ACCEL_BUFFERING, no)], events).into_response()
}

fn end_event(end: End) -> Event {
    match end {
        Ok((ticket, answer)) => {
            let name = if answer.is_ok() { "done" } else { "error" };
            event(name, &body(ticket, answer))
        }
        Err(error) => event("error", &error),
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    // Values that come from JSON are always JSON.
    event.json_data(data).unwrap_or_default()
}
