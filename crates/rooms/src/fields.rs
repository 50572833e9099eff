//! The fields of one JSON object, each read by itself and only when it is asked for.
//!
//! The object's top level is taken apart without looking into the values, so that `data` stays
//! byte for byte what the client sent, and one wrong field does not hide the others.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::call::CallIdError;
use crate::error::{Error, ErrorCode};
use crate::id::RequestId;
use crate::names::NameError;

/// How deep `data` may nest: a bare value has depth 0, `[]` has 1.
///
/// Every reader of an event must parse it, and most parsers recurse.
const MAX_DEPTH: usize = 64;

/// A JSON string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields in the order in which they came; of two with one name the last counts.
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Takes one JSON object apart. Where its syntax breaks, what came before that is still
    /// returned, for the `id` may be among it.
    pub(crate) fn read(text: &'a str) -> (Self, Result<(), Error>) {
        let mut fields = Vec::new();
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json
            .deserialize_map(Collect(&mut fields))
            .and_then(|()| json.end());
        (Self(fields), read.map_err(bad_json))
    }

    /// A field's JSON. `null` counts as absent.
    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.iter().rev().find(|(key, _)| key == name)?;
        (value.get() != "null").then_some(*value)
    }

    /// A string.
    pub(crate) fn string(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
        self.raw(name)
            .map(|raw| string(name, raw.get()))
            .transpose()
    }

    /// A string of at most `limit` characters.
    pub(crate) fn short_string(
        &self,
        name: &'static str,
        limit: usize,
    ) -> Result<Option<String>, Error> {
        match self.string(name)? {
            Some(text) if text.chars().nth(limit).is_some() => {
                Err(Error::too_long(name, limit, "characters"))
            }
            text => Ok(text.map(Cow::into_owned)),
        }
    }

    /// A name of some kind.
    pub(crate) fn name<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, NameError>,
    ) -> Result<Option<T>, Error> {
        let text = self.string(name)?;
        text.map(|text| parse(&text).map_err(|reason| Error::bad_name(name, reason)))
            .transpose()
    }

    /// The id of a call, which must be there.
    pub(crate) fn id<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, CallIdError>,
    ) -> Result<T, Error> {
        let text = self.string(name)?.ok_or_else(|| Error::missing(name))?;
        parse(&text)
            .map_err(|reason| Error::bad_field(name, format!("The field '{name}' {reason}.")))
    }

    /// A whole number within `range`.
    pub(crate) fn integer(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Error> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        match raw.get().parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(out_of_range(name, &range)),
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &'static str) -> Result<Option<bool>, Error> {
        match self.raw(name).map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => {
                let message = format!("The field '{name}' must be true or false.");
                Err(Error::bad_field(name, message))
            }
        }
    }

    /// Any JSON, kept as it is.
    pub(crate) fn json(&self, name: &'static str) -> Result<Option<Box<RawValue>>, Error> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        check_json(name, raw.get())?;
        Ok(Some(raw.to_owned()))
    }

    /// The client's buzzer.
    pub(crate) fn request_id(&self) -> Result<Option<RequestId>, Error> {
        let Some(raw) = self.raw("id") else {
            return Ok(None);
        };
        if let Ok(number) = raw.get().parse() {
            return Ok(Some(RequestId::Number(number)));
        }
        if !raw.get().starts_with('"') {
            let message = "The field 'id' must be a string or an integer of 64 bits.";
            return Err(Error::bad_field("id", message));
        }
        match self.short_string("id", RequestId::LIMIT)? {
            Some(text) if text.is_empty() => Err(Error::bad_field(
                "id",
                "The field 'id' must not be empty; leave it out instead.",
            )),
            text => Ok(text.map(RequestId::Text)),
        }
    }
}

/// The error of a number outside `range`.
pub(crate) fn out_of_range(name: &'static str, range: &RangeInclusive<u64>) -> Error {
    let (low, high) = (range.start(), range.end());
    let message = format!("The field '{name}' must be a whole number from {low} to {high}.");
    Error::bad_field(name, message)
}

fn string<'a>(name: &'static str, json: &'a str) -> Result<Cow<'a, str>, Error> {
    if !json.starts_with('"') {
        return Err(Error::bad_field(
            name,
            format!("The field '{name}' must be a string."),
        ));
    }
    match serde_json::from_str::<Text<'_>>(json) {
        Ok(text) => Ok(text.0),
        Err(_) => Err(half_a_character(name)),
    }
}

/// The only fault that a string can have when its syntax is right.
fn half_a_character(name: &'static str) -> Error {
    let message = format!(
        "The field '{name}' has an escape such as \\ud800 that is only half of a character; \
         send both halves or the character itself."
    );
    Error::bad_field(name, message)
}

/// Checks JSON of right syntax for what its readers could not take. It does not recurse.
pub(crate) fn check_json(name: &'static str, json: &str) -> Result<(), Error> {
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some(at) = rest.find(['[', '{', ']', '}', '"']) {
        let (_, found) = rest.split_at(at);
        let length = match found.as_bytes().first() {
            Some(b'"') => {
                let length = string_length(found);
                let literal = found.get(..length).unwrap_or(found);
                if literal.contains("\\u") {
                    string(name, literal)?;
                }
                length
            }
            Some(b'[' | b'{') if depth == MAX_DEPTH => {
                return Err(Error::too_long(name, MAX_DEPTH, "levels of nesting"));
            }
            Some(b'[' | b'{') => {
                depth += 1;
                1
            }
            _ => {
                depth = depth.saturating_sub(1);
                1
            }
        };
        rest = found.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// The length of the string literal that `json` starts with, both quotes included.
fn string_length(json: &str) -> usize {
    let mut escaped = false;
    let inside = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    inside.map_or(json.len(), |inside| inside + 2)
}

fn bad_json(error: serde_json::Error) -> Error {
    // The parser's own words may quote the message, so only the place is told.
    let (line, column) = (error.line(), error.column());
    let message = format!(
        "Each message must be one JSON object; this one stops being that at line {line}, \
         column {column}."
    );
    Error::new(ErrorCode::BadJson, message)
}

/// Gathers an object's fields into a list that outlives a syntax error.
struct Collect<'f, 'a>(&'f mut Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Visitor<'a> for Collect<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            self.0.push((name, map.next_value()?));
        }
        Ok(())
    }
}
