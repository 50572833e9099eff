//! What is read from one text: names, ids, times.

use rooms::{Key, NameError, RoomName, SessionId, Timestamp, UserId, UserName};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Far longer ones differ from each other in nothing.
const LONGEST: usize = 600;

/// The bytes are one text in UTF-8.
pub fn names(data: &[u8]) {
    let data = &data[..data.len().min(LONGEST)];
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let composed: String = text.nfc().collect();
    let decomposed: String = text.nfd().collect();

    let room = RoomName::parse(text);
    assert_eq!(room, RoomName::parse(&composed), "a room's name in NFC");
    assert_eq!(room, RoomName::parse(&decomposed), "a room's name in NFD");
    match &room {
        Ok(name) => check_room(name),
        Err(error) => check_error(*error),
    }

    let user = UserName::parse(text);
    assert_eq!(user, UserName::parse(&composed), "a user's name in NFC");
    assert_eq!(user, UserName::parse(&decomposed), "a user's name in NFD");
    match user {
        Ok(name) => {
            assert_eq!(UserName::parse(name.as_str()).as_ref(), Ok(&name));
            assert!(is_nfc(name.as_str()));
            assert_eq!(name.as_str(), name.as_str().trim());
            check_length(name.as_str(), UserName::LIMIT);
        }
        Err(error) => check_error(error),
    }

    match UserId::parse(text) {
        Ok(id) => {
            assert_eq!(id.as_str(), text);
            assert!(!text.chars().any(char::is_whitespace));
            check_length(text, UserId::LIMIT);
        }
        Err(error) => check_error(error),
    }
    match Key::parse(text) {
        Ok(key) => check_key(&key, text),
        Err(error) => check_error(error),
    }

    if let Ok(id) = SessionId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(at) = Timestamp::parse(text) {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at));
        let written = at.to_string();
        assert_eq!(written.len(), "2026-11-22T09:30:00.000Z".len());
        assert_eq!(Timestamp::parse(&written), Ok(at));
    }
}

/// What holds for the name of every room.
pub(crate) fn check_room(name: &RoomName) {
    let text = name.as_str();
    assert_eq!(RoomName::parse(text).as_ref(), Ok(name), "it reads back");
    assert!(is_nfc(text));
    check_length(text, RoomName::LIMIT);
    // It can stand in a URL's path, in a file's name and in a log's line.
    assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control()));
    assert!(!text.contains(['/', '\\', '?', '#', '%', '"', '<', '>', '&', ':']));
    assert!(text != "." && text != "..");
}

/// What holds for every key of a message.
pub(crate) fn check_key(key: &Key, text: &str) {
    assert_eq!(key.as_str(), text, "a key is compared by its bytes");
    assert!(!text.contains(char::is_control));
    check_length(text, Key::LIMIT);
}

fn check_length(text: &str, limit: usize) {
    assert!((1..=limit).contains(&text.chars().count()));
}

fn check_error(error: NameError) {
    assert!((10..100).contains(&error.to_string().len()), "{error}");
}
