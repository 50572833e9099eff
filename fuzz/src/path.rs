//! The path and the query that a client asks for.

use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use madang::harness::{Failed, Harness};
use madang::{Endpoint, Handshake, Message, Mount, Refusal, Session};
use percent_encoding::percent_decode_str;
use tokio::runtime;

/// Longer ones are hyper's affair.
const LONGEST: usize = 1024;
const TEMPLATES: [&str; 4] = [
    "/",
    "/rooms/{room}",
    "/rooms/{room}/users/{user}",
    "/files/{*rest}",
];
const NAMES: [&str; 3] = ["room", "user", "rest"];

/// The bytes are what stands behind the first slash of the address.
pub fn path(data: &[u8]) {
    let Ok(target) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(uri) = format!("ws://harness/{target}").parse::<Uri>() else {
        return;
    };
    if target.len() > LONGEST {
        return;
    }
    let recorder = Arc::new(Recorder::default());
    let mount = Mount::<Recorder>::new(recorder.clone());
    let mount = TEMPLATES.into_iter().fold(mount, Mount::at);
    let harness = Harness::new(mount.into_router());
    // Dropped at the end with whatever still runs in it.
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    let connected = runtime
        .unwrap()
        .block_on(harness.connect(&format!("/{target}")));
    let seen = recorder
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();

    match (route(uri.path()), connected) {
        (None, Err(Failed::Refused(status, _))) => {
            assert_eq!((status.as_u16(), seen), (404, None));
        }
        (Some(params), Err(Failed::Refused(status, body))) => {
            assert_eq!((status.as_u16(), seen), (400, None));
            assert!(params.iter().flatten().any(|param| decode(param).is_none()));
            assert!(!body.is_empty());
        }
        (Some(params), Ok(_)) => {
            let seen = seen.expect("a session without a handshake");
            assert_eq!(seen.path, uri.path());
            assert_eq!(seen.query.as_deref(), uri.query());
            for ((name, param), seen) in NAMES.iter().zip(params).zip(seen.params) {
                let param = param.map(|param| decode(&param).expect("broken UTF-8 was let in"));
                assert_eq!(seen, param, "{name}");
            }
            assert_eq!(seen.name, query_param(uri.query(), "name"));
        }
        (route, connected) => unreachable!("{route:?}, but {:?}", connected.err()),
    }
}

/// What an endpoint was told of the last request.
#[derive(Default)]
struct Recorder(Mutex<Option<Seen>>);

#[derive(Debug, PartialEq)]
struct Seen {
    path: String,
    query: Option<String>,
    /// In the order of [`NAMES`].
    params: [Option<String>; 3],
    /// The query's `name`.
    name: Option<String>,
}

impl Endpoint for Recorder {
    type Data = ();

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<(), Refusal> {
        let seen = Seen {
            path: handshake.path().to_owned(),
            query: handshake.query().map(str::to_owned),
            params: NAMES.map(|name| handshake.param(name).map(str::to_owned)),
            name: handshake.query_param("name").map(Into::into),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(())
    }

    async fn on_message(&self, _: &Session, _: Message) {}
}

/// What each of [`NAMES`] is in the path, not decoded, or nothing when no template has such a
/// path. A parameter at the end is not empty; one between slashes may be, as axum has it.
fn route(path: &str) -> Option<[Option<String>; 3]> {
    let some = |text: &str| (!text.is_empty()).then(|| Some(text.to_owned()));
    let path = path.strip_prefix('/')?;
    if path.is_empty() {
        return Some([None, None, None]);
    }
    if let Some(rest) = path.strip_prefix("files/") {
        return Some([None, None, some(rest)?]);
    }
    match path.split('/').collect::<Vec<_>>()[..] {
        ["rooms", room] => Some([some(room)?, None, None]),
        ["rooms", room, "users", user] => Some([Some(room.to_owned()), some(user)?, None]),
        _ => None,
    }
}

fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// The first query parameter `name` (application/x-www-form-urlencoded).
fn query_param(query: Option<&str>, name: &str) -> Option<String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    query?
        .split('&')
        .filter(|pair| !pair.is_empty())
        .find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name).then(|| decode(value))
        })
}
