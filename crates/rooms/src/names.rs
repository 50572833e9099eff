//! The names by which things are called. Each is checked once, where it comes in, and
//! trusted from there on.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use ulid::Ulid;
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Why a text cannot be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is there, or nothing that can be seen.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("must have at most {limit} characters")]
    TooLong {
        /// The largest number of characters.
        limit: usize,
    },
    /// A character that such a name cannot hold.
    #[error("must not contain the character {0:?}")]
    Character(char),
    /// `.` and `..` mean "here" and "above" in a URL, where no such room could be addressed.
    #[error("must not be '.' or '..'")]
    Dots,
}

/// Makes a name of shared text: cheap to clone, ordered and printed as its text.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

/// Makes a name that can stand in an address as it is.
macro_rules! plain_name {
    ($(#[$doc:meta])* $name:ident) => {
        name! {
            $(#[$doc])*
            $name
        }

        impl $name {
            /// The largest number of characters.
            pub const LIMIT: usize = 64;

            /// Normalises and checks a name.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                plain(text, Self::LIMIT).map(Self)
            }
        }
    };
}

plain_name! {
    /// A room's name: 1–64 letters of any script, digits, `-`, `_` and `.`, in NFC.
    ///
    /// Names that look the same are the same: 마당 typed on a Mac arrives decomposed (NFD) and
    /// becomes the same room as 마당 typed elsewhere. Upper and lower case stay apart.
    RoomName
}

plain_name! {
    /// A service's name, by the rules of a [`RoomName`].
    ServiceName
}

plain_name! {
    /// What a service can be asked to do, by the rules of a [`RoomName`].
    MethodName
}

name! {
    /// The name under which others see a user: 1–40 characters, no control characters, trimmed,
    /// in NFC.
    ///
    /// It need not be unique; [`UserId`] is.
    UserName
}

impl UserName {
    /// The largest number of characters.
    pub const LIMIT: usize = 40;

    /// Normalises, trims and checks a user's name.
    ///
    /// Marks that turn the direction of writing count as control characters, for they change
    /// how the text around a name reads. A name of nothing but invisible characters is empty.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let normal = composed(text);
        let name = normal.trim();
        if name.chars().all(is_invisible) {
            return Err(NameError::Empty);
        }
        check(name, Self::LIMIT, |c| !is_control(c))?;
        Ok(Self(name.into()))
    }
}

name! {
    /// What identifies a user for good: 1–64 characters, none of them blank or a control.
    ///
    /// The server makes ids of the form `u_…`; an identity provider may bring its own.
    UserId
}

impl UserId {
    /// The largest number of characters.
    pub const LIMIT: usize = 64;

    /// Checks a user's id. It is compared by its bytes, so nothing is normalised.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, Self::LIMIT, |c| !is_control(c) && !c.is_whitespace())?;
        Ok(Self(text.into()))
    }

    /// An id of the server's own form.
    pub(crate) fn numbered(id: Ulid) -> Self {
        Self(format!("u_{id}").into())
    }
}

name! {
    /// A client's own name for a message, unique per user, which makes a retry safe.
    ///
    /// 1–64 characters, no control characters. Time-ordered keys (UUIDv7, ULID) are the cheapest to
    /// store.
    Key
}

impl Key {
    /// The largest number of characters.
    pub const LIMIT: usize = 64;

    /// Checks a key. It is compared by its bytes, so nothing is normalised.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, Self::LIMIT, |c| !c.is_control())?;
        Ok(Self(text.into()))
    }
}

/// A name that can stand in an address as it is.
fn plain(text: &str, limit: usize) -> Result<Arc<str>, NameError> {
    let name = composed(text);
    let allowed = |c: char| {
        // Scripts such as Devanagari write vowels and conjuncts with combining marks,
        // which are part of a letter and not letters themselves.
        c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '-' | '_' | '.')
    };
    check(&name, limit, allowed)?;
    match &*name {
        "." | ".." => Err(NameError::Dots),
        name => Ok(name.into()),
    }
}

/// A text in NFC, which most texts are in already.
fn composed(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.into(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}

fn check(text: &str, limit: usize, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.chars().nth(limit).is_some() {
        return Err(NameError::TooLong { limit });
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

/// Control characters, line and paragraph separators, and the bidirectional controls.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters without ink: blanks, the Hangul fillers, zero-width characters and selectors.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(text: &str) -> Result<String, NameError> {
        RoomName::parse(text).map(|name| name.to_string())
    }

    fn user(text: &str) -> Result<String, NameError> {
        UserName::parse(text).map(|name| name.to_string())
    }

    #[test]
    fn a_room_may_be_named_in_any_script() {
        for name in [
            "lobby",
            "마당",
            "教室-2",
            "कक्षा",
            "غرفة",
            "v1.0_beta",
            "ห้อง",
            "Ñandú",
            "٣",
        ] {
            assert_eq!(room(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_decomposed_name_is_the_same_room_as_its_composed_form() {
        let decomposed: String = "마당"
            .chars()
            .flat_map(|c| c.to_string().nfd().collect::<Vec<_>>())
            .collect();
        assert_ne!(decomposed, "마당");
        assert_eq!(RoomName::parse(&decomposed), RoomName::parse("마당"));
        assert_eq!(room("cafe\u{301}").as_deref(), Ok("café"));
    }

    #[test]
    fn a_limit_counts_characters_after_composing_and_not_bytes() {
        let decomposed = "가".repeat(64).nfd().collect::<String>();
        assert_eq!(decomposed.chars().count(), 128);
        assert_eq!(room(&decomposed), Ok("가".repeat(64)));
        assert_eq!(
            room(&"가".repeat(65)),
            Err(NameError::TooLong { limit: 64 })
        );
        assert_eq!(user(&"😀".repeat(40)), Ok("😀".repeat(40)));
        assert_eq!(
            user(&"😀".repeat(41)),
            Err(NameError::TooLong { limit: 40 })
        );
        assert!(Key::parse(&"k".repeat(64)).is_ok());
        assert_eq!(
            Key::parse(&"k".repeat(65)),
            Err(NameError::TooLong { limit: 64 })
        );
        assert!(UserId::parse(&"u".repeat(64)).is_ok());
        assert_eq!(
            UserId::parse(&"u".repeat(65)),
            Err(NameError::TooLong { limit: 64 })
        );
    }

    #[test]
    fn a_room_refuses_what_is_no_letter_digit_or_mark() {
        for c in [
            ' ', '/', '\0', '\n', '😀', '@', '#', '%', '\u{200d}', '\u{202e}', '*', '\'',
        ] {
            assert_eq!(room(&format!("a{c}b")), Err(NameError::Character(c)));
        }
        assert_eq!(room(""), Err(NameError::Empty));
    }

    #[test]
    fn services_and_methods_are_named_like_rooms() {
        assert_eq!(ServiceName::parse("카페").unwrap().as_str(), "카페");
        assert_eq!(ServiceName::parse("a/b"), Err(NameError::Character('/')));
        assert_eq!(MethodName::parse("order.v2").unwrap().as_str(), "order.v2");
        assert_eq!(MethodName::parse(".."), Err(NameError::Dots));
    }

    #[test]
    fn names_that_a_url_cannot_address_are_refused() {
        assert_eq!(room("."), Err(NameError::Dots));
        assert_eq!(room(".."), Err(NameError::Dots));
        assert_eq!(room("...").as_deref(), Ok("..."));
        assert_eq!(room(".a").as_deref(), Ok(".a"));
    }

    #[test]
    fn a_user_name_is_trimmed_and_composed() {
        assert_eq!(user("  강호동\u{3000}").as_deref(), Ok("강호동"));
        let decomposed = "강호동".nfd().collect::<String>();
        assert_eq!(user(&decomposed).as_deref(), Ok("강호동"));
        assert_eq!(user("👩‍👩‍👧 family").as_deref(), Ok("👩‍👩‍👧 family"));
    }

    #[test]
    fn a_user_name_must_show_something() {
        for blank in [
            "",
            "   ",
            "\u{3164}",
            "\u{200b}\u{200d}",
            " \u{ffa0} ",
            "\u{fe0f}",
        ] {
            assert_eq!(user(blank), Err(NameError::Empty), "{blank:?}");
        }
    }

    #[test]
    fn a_user_name_holds_no_controls() {
        for c in [
            '\0', '\n', '\t', '\u{7f}', '\u{85}', '\u{2028}', '\u{202e}', '\u{2067}',
        ] {
            assert_eq!(user(&format!("a{c}b")), Err(NameError::Character(c)));
        }
    }

    #[test]
    fn an_id_has_no_blanks_and_a_key_may_have_them() {
        assert_eq!(UserId::parse("a b"), Err(NameError::Character(' ')));
        assert_eq!(UserId::parse(""), Err(NameError::Empty));
        assert!(UserId::parse("auth0|5f7c").is_ok());
        assert!(Key::parse("a b").is_ok());
        assert_eq!(Key::parse("a\0"), Err(NameError::Character('\0')));
    }

    #[test]
    fn the_reason_is_a_sentence_about_the_name() {
        assert_eq!(
            NameError::TooLong { limit: 64 }.to_string(),
            "must have at most 64 characters"
        );
        assert_eq!(
            NameError::Character('\n').to_string(),
            "must not contain the character '\\n'"
        );
    }
}
