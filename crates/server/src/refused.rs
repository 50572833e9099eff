//! Errors as HTTP answers.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rooms::{Error, ErrorCode};

/// A request that is answered with an error: the same JSON as over a WebSocket, with the HTTP status
/// for it.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Error);

impl Refused {
    /// The body alone.
    pub(crate) fn body(error: &Error) -> Json<&Error> {
        Json(error)
    }

    fn status(&self) -> StatusCode {
        match self.0.code {
            ErrorCode::BadJson | ErrorCode::UnknownType | ErrorCode::BadField => {
                StatusCode::BAD_REQUEST
            }
            ErrorCode::TooLong if self.0.field.is_none() => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::TooLong => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden | ErrorCode::NotSubscribed => StatusCode::FORBIDDEN,
            ErrorCode::NoSuchRoom
            | ErrorCode::NoSuchMessage
            | ErrorCode::NoSuchUser
            | ErrorCode::NoSuchService
            | ErrorCode::NoSuchSession
            | ErrorCode::NoSuchTicket
            | ErrorCode::NoSuchCall => StatusCode::NOT_FOUND,
            ErrorCode::Conflict | ErrorCode::Cancelled => StatusCode::CONFLICT,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Busy | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // Of a request itself; what a call is answered with has statuses of its own.
            ErrorCode::Timeout => StatusCode::REQUEST_TIMEOUT,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Self::body(&self.0)).into_response();
        let headers = response.headers_mut();
        if self.0.code == ErrorCode::Unauthorized {
            // RFC 9110 §11.6.1: a 401 tells how to authenticate.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(millis) = self.0.retry_after_ms {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(millis.div_ceil(1_000)),
            );
        }
        response
    }
}
