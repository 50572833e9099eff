//! Tickets: what came of calls.

use std::sync::Arc;

use ::rooms::{Answer, Error, ErrorCode, ServerMessage, Ticket, UserId};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    events,
    prefer::Prefer,
    query::{Id, Query},
    schema,
    waiting::Waiting,
};
use crate::{
    reads::{RETRY_MS, jittered, unavailable},
    refused::Refused,
    yard::Yard,
};

/// Seconds that a request may wait: less than proxies wait for us.
const MOST_WAIT: u32 = 60;

/// What came of a call
///
/// For who asked: with the token that the call was asked with, or by the ticket alone if that was a guest with a
/// name alone. With `Prefer: wait=N` the answer is waited for; with `Accept: text/event-stream` it comes as
/// server-sent events: any number of `progress`, whose data is what the service tells, and then one `done` or one
/// `error`, whose data is the body that would else be the answer. The client closes the stream then.
#[utoipa::path(get, path = "/api/tickets/{ticket}", tag = "calls",
    params(
        ("ticket" = String, Path, description = "The ticket"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: to wait for up to N seconds, 60 at most"),
    ),
    responses(
        (status = 200, description = "The answer", content(
            (schema::Done = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 202, description = "There is none yet", body = schema::Open, headers(
            ("Retry-After" = u64, description = "Seconds after which to ask again"),
            ("Preference-Applied" = String, description = "What of `Prefer` was done"),
        )),
        (status = 404, description = "No call of this user has this ticket, or not any more", body = schema::Error),
        (status = 409, description = "It was cancelled", body = schema::Failed),
        (status = 422, description = "The service has no result, and says why", body = schema::Failed),
        (status = 503, description = "The service went away with it", body = schema::Failed),
        (status = 504, description = "Its time was over", body = schema::Failed),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security((), ("token" = []))
)]
pub(super) async fn get_ticket(
    State(yard): State<Arc<Yard>>,
    id: Id,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Refused> {
    let ticket = id.ticket()?;
    let holder = yard.holder(ticket, &query).await?;
    let (mut waiting, caller) = Waiting::new(&yard.desk, yard.ending.subscribe());
    let open = yard.desk.collect(ticket, &holder.user, caller);
    let prefer = Prefer::of(&headers).poll(MOST_WAIT);
    let end = if !open {
        Some(waiting.end().await)
    } else if events::wanted(&headers) {
        return Ok(events::of(waiting));
    } else {
        waiting
            .end_within(Some(prefer.patience().unwrap_or_default()))
            .await
    };
    let response = match end.transpose().map_err(|error| holder.explain(error))? {
        Some(end) if events::wanted(&headers) => events::last(end),
        Some(end) => prefer.applied(answered(end)),
        None => prefer.applied(still_open(ticket, &waiting)),
    };
    Ok(not_kept(response))
}

/// Cancel a call
///
/// It is answered with the error `cancelled`, and the service is told to stop.
#[utoipa::path(delete, path = "/api/tickets/{ticket}", tag = "calls",
    params(("ticket" = String, Path, description = "The ticket")),
    responses(
        (status = 200, description = "It is cancelled, or was answered before", body = schema::Cancelled),
        (status = 404, description = "No call of this user has this ticket, or not any more", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security((), ("token" = []))
)]
pub(super) async fn cancel_ticket(
    State(yard): State<Arc<Yard>>,
    id: Id,
    query: Query,
) -> Result<Response, Refused> {
    let ticket = id.ticket()?;
    let holder = yard.holder(ticket, &query).await?;
    let (sender, cancelled) = oneshot::channel();
    yard.desk.cancel(ticket, &holder.user, |cancelled| {
        // The client may have gone; the call is cancelled all the same.
        let _ = sender.send(cancelled);
    });
    let cancelled = cancelled.await.unwrap_or_else(|_| Err(unavailable()));
    let cancelled = cancelled.map_err(|error| holder.explain(error))?;
    Ok(Json(json!({"ticket": ticket, "cancelled": cancelled})).into_response())
}

/// The answer to a call: the result, or the error with its status.
pub(super) fn answered((ticket, answer): (Ticket, Answer)) -> Response {
    let status = match &answer {
        Ok(_) => StatusCode::OK,
        Err(failure) => match failure.code.as_str() {
            "cancelled" => StatusCode::CONFLICT,
            "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "timeout" => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        },
    };
    (status, Json(body(ticket, answer))).into_response()
}

/// What an answer says.
pub(super) fn body(ticket: Ticket, answer: Answer) -> impl Serialize {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Body {
        Done(schema::Done),
        Failed(ServerMessage),
    }
    match answer {
        Ok(result) => Body::Done(schema::Done {
            ticket,
            state: "done",
            result,
        }),
        Err(failure) => Body::Failed(ServerMessage::Failed {
            id: None,
            ticket,
            failure,
        }),
    }
}

/// There is no answer yet.
pub(super) fn still_open(ticket: Ticket, waiting: &Waiting) -> Response {
    // A server that ends is not back at once, and not for all of them at one time.
    let retry_ms = if waiting.is_ending() {
        jittered(RETRY_MS * 5)
    } else {
        RETRY_MS
    };
    let retry = HeaderValue::from(retry_ms.div_ceil(1_000));
    let body = Json(json!({"ticket": ticket, "state": "open"}));
    (StatusCode::ACCEPTED, [(header::RETRY_AFTER, retry)], body).into_response()
}

/// The next answer may be another.
fn not_kept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Who comes with a ticket.
struct Holder {
    user: UserId,
    /// Whether they have shown nothing but the ticket.
    by_ticket: bool,
}

impl Holder {
    /// An error, for someone who may have forgotten the token.
    fn explain(&self, error: Error) -> Error {
        if !self.by_ticket || error.code != ErrorCode::NoSuchTicket {
            return error;
        }
        let message = format!(
            "{} A call that was asked with a token needs it here, too.",
            error.message
        );
        Error {
            message: message.into(),
            ..error
        }
    }
}

impl Yard {
    /// Whose calls are meant. Without a token a ticket stands for the guest who has nothing else.
    async fn holder(&self, ticket: Ticket, query: &Query) -> Result<Holder, Error> {
        let credentials = query.credentials(None)?;
        let by_ticket = credentials.token.is_none() && self.config.access.guests;
        let user = if by_ticket {
            ticket.guest()
        } else {
            self.identify(credentials).await?.user.id
        };
        Ok(Holder { user, by_ticket })
    }
}
