//! Who asks, over WebSocket and HTTP alike.

use axum::http::HeaderMap;
use rooms::{Error, ErrorCode, User, UserId, UserName};
use store::{TokenHash, guest_token};
use ulid::Ulid;

use crate::{admin::random_bits, clock::now, yard::Yard};

/// The id of whoever has the admin token.
const ADMIN: &str = "u_admin";

/// Someone who may come in.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) user: User,
    /// For a guest who is new: the token to come back with.
    pub(crate) new_token: Option<String>,
}

/// What a request shows of its sender: a header, or the query where a browser cannot set one.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) token: Option<String>,
    pub(crate) name: Option<String>,
}

impl Credentials {
    /// Of an `Authorization` header and the query parameters `token` and `name`.
    pub(crate) fn new(
        authorization: Option<&str>,
        token: Option<String>,
        name: Option<String>,
    ) -> Result<Self, Error> {
        let bearer = match authorization.map(|header| header.split_once(' ')) {
            None => None,
            Some(Some((scheme, token))) if scheme.eq_ignore_ascii_case("bearer") => {
                Some(token.trim().to_owned())
            }
            Some(_) => {
                let message = "The Authorization header must be 'Bearer' and a token.";
                return Err(Error::new(ErrorCode::Unauthorized, message));
            }
        };
        Ok(Self {
            token: bearer.or(token),
            name,
        })
    }
}

impl Yard {
    /// Finds out who asks.
    pub(crate) async fn identify(&self, credentials: Credentials) -> Result<Identity, Error> {
        let name = credentials.name.as_deref().map(UserName::parse).transpose();
        let name = name.map_err(|error| Error::bad_name("name", error))?;
        match (credentials.token, name) {
            (Some(token), name) => self.identify_by_token(&token, name).await,
            (None, Some(name)) if self.config.access.guests => new_guest(name),
            (None, Some(_)) => Err(Error::new(
                ErrorCode::Unauthorized,
                "Guests are not allowed here. Come with a token: 'Authorization: Bearer TOKEN' or \
                 '?token=TOKEN'.",
            )),
            (None, None) => Err(Error::new(
                ErrorCode::Unauthorized,
                "It is not known who you are. Come with a token ('Authorization: Bearer TOKEN' or \
                 '?token=TOKEN') or, where guests are allowed, with '?name=NAME'.",
            )),
        }
    }

    async fn identify_by_token(
        &self,
        token: &str,
        name: Option<UserName>,
    ) -> Result<Identity, Error> {
        let hash = TokenHash::of(token);
        if self.admin.is(&hash) {
            let name = name.map_or_else(|| UserName::parse("admin"), Ok);
            let user = User {
                id: UserId::parse(ADMIN).map_err(|error| Error::bad_name("user", error))?,
                name: name.map_err(|error| Error::bad_name("name", error))?,
                guest: false,
            };
            return Ok(Identity {
                user,
                new_token: None,
            });
        }
        let user = self
            .reads
            .read(move |readers| readers.user_by_token(&hash))
            .await?;
        let unknown = || Error::new(ErrorCode::Unauthorized, "The token is not known.");
        Ok(Identity {
            user: user.ok_or_else(unknown)?,
            new_token: None,
        })
    }

    /// Lets in only who shows the admin token.
    pub(crate) fn admit_admin(&self, headers: &HeaderMap) -> Result<(), Error> {
        let authorization = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let credentials = Credentials::new(authorization, None, None)?;
        match credentials.token {
            Some(token) if self.admin.is(&TokenHash::of(&token)) => Ok(()),
            _ => Err(Error::new(
                ErrorCode::Unauthorized,
                "This needs the admin token: 'Authorization: Bearer TOKEN'. The token is in the file \
                 admin.token in the data folder.",
            )),
        }
    }
}

/// Whether this is whoever has the admin token.
pub(crate) fn is_admin(user: &User) -> bool {
    user.id.as_str() == ADMIN
}

fn new_guest(name: UserName) -> Result<Identity, Error> {
    let id = UserId::parse(&format!("u_{}", Ulid::generate()));
    let random = random_bits().map_err(|error| {
        tracing::error!(%error, "the system gives no random bits");
        Error::new(ErrorCode::Internal, "The server failed; it is in its log.")
    })?;
    let user = User {
        id: id.map_err(|error| Error::bad_name("user", error))?,
        name,
        guest: true,
    };
    Ok(Identity {
        user,
        new_token: Some(guest_token(now(), random)),
    })
}
