//! The header `Prefer` (RFC 7240): whether a client waits for an answer, and for how long.

use std::{borrow::Cow, fmt::Write, time::Duration};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What of it there is here to prefer. Everything else, and what cannot be read, is ignored, as §2 says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Prefer {
    /// §4.1: not to wait.
    respond_async: bool,
    /// §4.3: to wait for so many seconds.
    wait: Option<u32>,
}

impl Prefer {
    /// What a request prefers, in any number of headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let (mut respond_async, mut wait) = (None, None);
        for header in headers.get_all(PREFER) {
            let header = String::from_utf8_lossy(header.as_bytes());
            for preference in split(&header, ',') {
                let (name, value) = read(preference);
                // §2: of one that is there twice the first counts.
                match &*name.to_ascii_lowercase() {
                    "respond-async" => _ = respond_async.get_or_insert(value.is_empty()),
                    "wait" => _ = wait.get_or_insert(seconds(&value)),
                    _ => {}
                }
            }
        }
        Self {
            respond_async: respond_async.unwrap_or_default(),
            wait: wait.flatten(),
        }
    }

    /// Of a request that does not wait unless it says so, and not for longer than `most` seconds.
    pub(super) fn poll(self, most: u32) -> Self {
        Self {
            respond_async: false,
            wait: self.wait.map(|wait| wait.min(most)),
        }
    }

    /// How long to wait for the answer; `None`: until it is there.
    pub(super) fn patience(self) -> Option<Duration> {
        match self.wait {
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            None => self.respond_async.then_some(Duration::ZERO),
        }
    }

    /// Says in an answer what was done of it (§3).
    pub(super) fn applied(self, mut response: Response) -> Response {
        let mut applied = String::new();
        if self.respond_async {
            applied.push_str("respond-async");
        }
        if let Some(seconds) = self.wait {
            let comma = if applied.is_empty() { "" } else { ", " };
            // A string takes everything.
            let _ = write!(applied, "{comma}wait={seconds}");
        }
        if let (false, Ok(applied)) = (applied.is_empty(), HeaderValue::try_from(applied)) {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        response
    }
}

/// The name and the value of a preference (§2), an empty value if there is none. Its parameters, which
/// begin with ';', mean nothing here.
fn read(preference: &str) -> (&str, Cow<'_, str>) {
    let bare = split(preference, ';').next().unwrap_or_default();
    let (name, value) = bare.split_once('=').unwrap_or((bare, ""));
    (name.trim(), unquoted(value.trim()))
}

fn seconds(value: &str) -> Option<u32> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits)
}

/// The parts of a text between separators that stand in no quoted string (RFC 9110 §5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |found| {
        let literal = std::mem::take(&mut escaped);
        match found {
            '\\' if quoted && !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => return found == separator && !quoted,
        }
        false
    })
}

/// What a quoted string says, or the token that it is.
fn unquoted(word: &str) -> Cow<'_, str> {
    let inside = word
        .strip_prefix('"')
        .and_then(|word| word.strip_suffix('"'));
    let Some(inside) = inside else {
        return word.into();
    };
    let mut characters = inside.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        let literal = match character {
            '\\' => characters.next(),
            other => Some(other),
        };
        text.extend(literal);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn prefer(headers: &[&str]) -> (bool, Option<u32>) {
        let headers = headers.iter().map(|header| {
            let header = HeaderValue::from_bytes(header.as_bytes());
            (PREFER, header.unwrap())
        });
        let mut all = HeaderMap::new();
        all.extend(headers);
        let Prefer {
            respond_async,
            wait,
        } = Prefer::of(&all);
        (respond_async, wait)
    }

    #[test]
    fn preferences_are_read_in_all_their_forms() {
        for headers in [
            &["respond-async, wait=10"][..],
            &["respond-async", "wait=10"],
            &["Respond-Async,WAIT=10"],
            &["wait = 10 , respond-async"],
            &[r#"wait="10", respond-async="""#, "x"],
            &[r#"wait="1\0"; foo, respond-async="";bar="a,b;c""#],
            &[r#"foo="a, wait=3, \", respond-async=no"; some, wait=10, respond-async="#],
            &[", ,respond-async,, wait=10,"],
            &[
                "return=minimal; 한글=\"x\", respond-async",
                "handling=lenient, wait=10",
            ],
            // The first counts.
            &[
                "respond-async, wait=10, wait=20, respond-async=x",
                "wait=30",
            ],
        ] {
            assert_eq!(prefer(headers), (true, Some(10)), "{headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for header in [
            "",
            "=",
            "wait",
            "wait=",
            "wait=x",
            "wait=-1",
            "wait=+1",
            "wait=1.5",
            "wait=99999999999",
            "wait=x, wait=5",
            "respond-async=1",
            "respond-async2",
            r#""respond-async""#,
            r#"foo="respond-async, wait=1"#,
            r#"foo="\"#,
        ] {
            assert_eq!(prefer(&[header]), (false, None), "{header:?}");
        }
        assert_eq!(prefer(&[]), (false, None));
    }

    #[test]
    fn the_answer_says_what_was_applied() {
        let applied = |respond_async, wait| {
            let prefer = Prefer {
                respond_async,
                wait,
            };
            let response = prefer.applied(().into_response());
            let header = response.headers().get(PREFERENCE_APPLIED);
            header.map(|header| header.to_str().unwrap().to_owned())
        };
        assert_eq!(applied(false, None), None);
        assert_eq!(applied(true, None).unwrap(), "respond-async");
        assert_eq!(applied(false, Some(0)).unwrap(), "wait=0");
        assert_eq!(applied(true, Some(5)).unwrap(), "respond-async, wait=5");
    }

    #[test]
    fn a_poll_waits_no_longer_than_it_may() {
        let prefer = Prefer {
            respond_async: true,
            wait: Some(100),
        };
        let patience = prefer.poll(60).patience();
        assert_eq!(patience, Some(Duration::from_secs(60)));
        assert_eq!(Prefer::default().poll(60).patience(), None);
    }
}
