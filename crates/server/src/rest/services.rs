//! Services: what they are asked, by clients that wait and by clients that do not.

use std::sync::Arc;

use ::rooms::{Data, Error, ErrorCode, Key, MethodName, Question, ServiceName};
use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    prefer::Prefer,
    query::{Body, Query},
    schema,
    tickets::{answered, still_open},
    waiting::Waiting,
};
use crate::{calls::Asker, identity::Identity, refused::Refused, yard::Yard};

/// draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Who serves what
///
/// Every name that is served, or was until just now, with those who serve it and what there is to do.
#[utoipa::path(get, path = "/api/services", tag = "calls",
    responses(
        (status = 200, body = schema::Services),
        (status = 401, description = "Without the admin token", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security(("token" = []))
)]
pub(super) async fn list_services(
    State(yard): State<Arc<Yard>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    yard.admit_admin(&headers)?;
    let desk = &yard.desk;
    let service = |served| schema::Service::new(served, |worker| desk.session_of(worker));
    let services = desk.survey().into_iter().map(service).collect();
    Ok(Json(schema::Services { services }).into_response())
}

/// Ask a service
///
/// The body is the call's `params`: any JSON, or nothing. The answer comes when the service has it; with
/// `Prefer: respond-async` (RFC 7240) a ticket comes at once, with which the answer can be had later. The call
/// goes on when its client does not wait any more. Who asks is told as over a WebSocket: by a token, or as a
/// guest by `name`, who needs nothing but the ticket to have the answer.
#[utoipa::path(post, path = "/api/services/{service}/{method}", tag = "calls",
    params(
        ("service" = String, Path, description = "The service's name"),
        ("method" = String, Path, description = "What it is asked to do"),
        ("name" = Option<String>, Query, description = "Who asks, where guests are allowed"),
        ("timeout_ms" = Option<u64>, Query, minimum = 1, description = "Within which it must be answered; 60,000 by default"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: a ticket at once; `wait=N`: after N seconds, if there is no answer yet"),
        ("Idempotency-Key" = Option<String>, Header, description = "With a token: makes a retry safe. The same call with the same key is the same call"),
    ),
    request_body(content = Option<serde_json::Value>, description = "The params"),
    responses(
        (status = 200, description = "The answer", body = schema::Done),
        (status = 202, description = "It is stored, and not answered yet", body = schema::Open, headers(
            ("Location" = String, description = "Where the answer can be had"),
            ("Retry-After" = u64, description = "Seconds after which to look there"),
            ("Preference-Applied" = String, description = "What of `Prefer` was done"),
        )),
        (status = 401, description = "It is not known who asks", body = schema::Error),
        (status = 404, description = "Nobody serves this name", body = schema::Error),
        (status = 409, description = "It was cancelled, or the key was used for another call", body = schema::Failed),
        (status = 422, description = "The service has no result, and says why", body = schema::Failed),
        (status = 503, description = "Too many calls wait; or the service went away", body = schema::Failed),
        (status = 504, description = "Its time was over", body = schema::Failed),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security((), ("token" = []))
)]
pub(super) async fn call(
    State(yard): State<Arc<Yard>>,
    Target(service, method): Target,
    headers: HeaderMap,
    query: Query,
    Body(body): Body,
) -> Result<Response, Refused> {
    let question = Question {
        service,
        method,
        params: params(body)?,
        timeout_ms: query.parsed("timeout_ms", "a number of milliseconds", |text| {
            text.parse().ok().filter(|millis| *millis > 0)
        })?,
        key: key(&headers)?,
    };
    let identity = yard.identify(query.credentials(None)?).await?;
    let from = asker(identity, question.key.as_ref())?;
    let (mut waiting, caller) = Waiting::new(&yard.desk, yard.ending.subscribe());
    yard.desk.ask(question, from, caller);
    let ticket = waiting.ticket().await?;
    let prefer = Prefer::of(&headers);
    let response = match waiting.end_within(prefer.patience()).await {
        Some(end) => answered(end?),
        None => {
            let mut response = still_open(ticket, &waiting);
            if let Ok(location) = HeaderValue::try_from(format!("/api/tickets/{ticket}")) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
    };
    Ok(prefer.applied(response))
}

fn params(body: String) -> Result<Data, Error> {
    if body.trim().is_empty() {
        return Ok(Data::null());
    }
    Data::parse("params", body).map_err(|error| match error.code {
        ErrorCode::BadField => Error {
            code: ErrorCode::BadJson,
            ..error
        },
        _ => error,
    })
}

/// The call's key: the header's text, which may be a string of structured fields (RFC 8941 §3.3.3).
fn key(headers: &HeaderMap) -> Result<Option<Key>, Error> {
    const FIELD: &str = "Idempotency-Key";
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(header.as_bytes())
        .map_err(|_| Error::bad_field(FIELD, format!("The header '{FIELD}' must be UTF-8.")))?;
    let bare = text.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
    let key = Key::parse(bare.unwrap_or(text));
    key.map(Some).map_err(|error| Error::bad_name(FIELD, error))
}

fn asker(identity: Identity, key: Option<&Key>) -> Result<Asker, Error> {
    if identity.new_token.is_none() {
        return Ok(Asker::User(identity.user));
    }
    if key.is_some() {
        // It would be taken, and a retry would be another guest's call.
        let message = "A key is its user's: come with a token to have a retry be safe. Whoever comes with a name \
                       alone is a new guest each time.";
        return Err(Error::bad_field("Idempotency-Key", message));
    }
    Ok(Asker::Passing(identity.user.name))
}

/// The service and the method of the path.
pub(super) struct Target(ServiceName, MethodName);

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((service, method)) = path.map_err(|_| {
            let message = "The names in the path are not percent-encoded UTF-8.";
            Error::bad_field("service", message)
        })?;
        let service = ServiceName::parse(&service);
        let method = MethodName::parse(&method);
        Ok(Self(
            service.map_err(|error| Error::bad_name("service", error))?,
            method.map_err(|error| Error::bad_name("method", error))?,
        ))
    }
}
