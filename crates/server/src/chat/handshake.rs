//! Who may open a session, and from where.

use axum::{
    http::{HeaderValue, header},
    response::IntoResponse,
};
use madang::{BadHandshake, Handshake, Refusal};
use rooms::{Error, ErrorCode, RoomName, Start};

use super::{
    Chat,
    visit::{Beginning, Opening, Visit},
};
use crate::{
    identity::Credentials,
    reads::{RETRY_MS, jittered},
    refused::Refused,
    turns::NoTurn,
};

impl Chat {
    /// Decides over an opening request.
    pub(super) async fn admit(&self, handshake: &mut Handshake) -> Result<Visit, Refusal> {
        let visit = self.visit(handshake).await;
        handshake.forget_request();
        visit.map_err(|error| Refused(error).into_response().into())
    }

    async fn visit(&self, handshake: &Handshake) -> Result<Visit, Error> {
        let query = |name| handshake.query_param(name).map(|value| value.into_owned());
        self.check_origin(handshake)?;
        let opening = opening(handshake)?.map(|opening| Opening {
            room: self.yard.live.shared(opening.room),
            ..opening
        });
        // Before anything that costs.
        let turn = self.yard.turns.wait().await.map_err(no_turn)?;
        let credentials = Credentials::new(
            handshake.header("authorization"),
            query("token"),
            query("name"),
        )?;
        let identity = self.yard.identify(credentials).await?;
        let address = handshake.peer().map(|peer| peer.ip());
        let permit = self.admission.admit(address).ok_or_else(|| {
            let message = "There are too many sessions now. Try again later.";
            Error::new(ErrorCode::Unavailable, message).retry_after_ms(jittered(RETRY_MS * 5))
        })?;
        let beginning = Beginning {
            token: identity.new_token,
            opening,
            address: address.map(|ip| ip.to_string()).unwrap_or_default(),
            user_agent: handshake.header("user-agent").map(short),
            _turn: turn,
        };
        let is_local = is_local(handshake);
        Ok(Visit::new(identity.user, is_local, beginning, permit))
    }

    /// A cookie speaks for its owner from any page that the browser has open, so with one the page
    /// must be of this server (RFC 6455 §10.2), or of an origin that is configured.
    fn check_origin(&self, handshake: &Handshake) -> Result<(), Error> {
        let (Some(origin), Some(_)) = (handshake.header("origin"), handshake.header("cookie"))
        else {
            return Ok(());
        };
        let allowed = &self.yard.config.access.origins;
        if handshake.check_origin(allowed).is_ok() {
            return Ok(());
        }
        let message = format!(
            "Pages of '{origin}' may not open sessions here with a cookie. The setting \
             access.origins allows them."
        );
        Err(Error::new(ErrorCode::Forbidden, message))
    }
}

/// Whether a client is on the server's own machine. A proxy there that is not
/// [trusted](crate::config::Proxy) speaks for others, and most of them say so.
fn is_local(handshake: &Handshake) -> bool {
    let for_others = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let peer = handshake.peer().map(|peer| peer.ip().to_canonical());
    peer.is_some_and(|address| address.is_loopback())
        && !for_others
            .iter()
            .any(|name| handshake.header(name).is_some())
}

/// What `/ws/{room}?since=N` asks for: the same as the command `subscribe` with these fields.
fn opening(handshake: &Handshake) -> Result<Option<Opening>, Error> {
    let Some(room) = handshake.param("room") else {
        return Ok(None);
    };
    let room = RoomName::parse(room).map_err(|error| Error::bad_name("room", error))?;
    let number = |name| match handshake.query_param(name) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Error::bad_field(
                name,
                format!("The parameter '{name}' must be a whole number."),
            )
        }),
    };
    let start = Start::new(number("since")?, number("last")?)?;
    let epoch = handshake
        .query_param("epoch")
        .map(|epoch| epoch.into_owned());
    Ok(Some(Opening { room, start, epoch }))
}

/// The beginning of a text that a client may make as long as it likes.
fn short(text: &str) -> String {
    text.chars().take(256).collect()
}

fn no_turn(reason: NoTurn) -> Error {
    match reason {
        NoTurn::Crowded => {
            let message = "Too many sessions are being opened now. Try again later.";
            Error::new(ErrorCode::Unavailable, message).retry_after_ms(jittered(RETRY_MS * 5))
        }
        NoTurn::Closed => closing(),
    }
}

fn closing() -> Error {
    let message = "The server is closing. Try again later.";
    Error::new(ErrorCode::Unavailable, message).retry_after_ms(jittered(RETRY_MS * 5))
}

/// Answers what is no WebSocket handshake.
pub(super) fn refuse_bad(error: &BadHandshake) -> Refusal {
    let body = match error {
        BadHandshake::Closing => return Refused(closing()).into_response().into(),
        error => Error::new(
            ErrorCode::BadField,
            format!("This address is for WebSockets: {error}"),
        ),
    };
    let mut response = (error.status(), error.headers(), Refused::body(&body)).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.into()
}
