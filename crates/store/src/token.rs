//! A token as it is stored: hashed, so that nobody who reads the file can use it.

use std::fmt;

use rooms::Timestamp;
use sha2::{Digest, Sha256};

/// Hexadecimal digits of the moment at which a guest's token was made.
const MOMENT: usize = 12;

/// What a token is found by. A token is long and random, so it needs no salt and no slow hash.
///
/// It is the token's SHA-256. Of a [guest's](guest_token) the first 6 of the 32 bytes are the moment in
/// the token instead: hashes alone are in no order, and each new guest's would be written to another page
/// of the file. Ordered by time they share the last one; 208 bits of a hash remain.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        let mut hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(moment) = moment(token) {
            let [_, _, moment @ ..] = moment.to_be_bytes();
            hash[..moment.len()].copy_from_slice(&moment);
        }
        Self(hash)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A guest's token: the moment at which it is made, and its 256 random bits.
pub fn guest_token(at: Timestamp, random: [u128; 2]) -> String {
    let [high, low] = random;
    format!("{:0MOMENT$x}.{high:032x}{low:032x}", at.as_millis())
}

/// The moment in a guest's token; none of any other text.
fn moment(token: &str) -> Option<u64> {
    let (moment, _) = token.split_once('.')?;
    let moment = (moment.len() == MOMENT).then_some(moment)?;
    u64::from_str_radix(moment, 16).ok()
}

/// Shows nothing of the hash, which logs have no use for.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(millis: i64, random: u128) -> String {
        guest_token(Timestamp::from_millis(millis), [random, !random])
    }

    #[test]
    fn guests_tokens_are_stored_in_the_order_in_which_they_were_made() {
        let tokens = (0..100).map(|number| guest(1_795_339_800_000 + number, 7));
        let hashes: Vec<_> = tokens.map(|token| TokenHash::of(&token)).collect();
        assert!(hashes.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()));
    }

    #[test]
    fn guests_tokens_of_one_moment_differ_and_so_do_their_hashes() {
        let [one, other] = [1, 2].map(|random| guest(1_795_339_800_000, random));
        assert_ne!(one, other);
        assert_ne!(TokenHash::of(&one), TokenHash::of(&other));
    }

    #[test]
    fn any_other_token_is_stored_as_its_hash() {
        for token in [
            "",
            "0123456789abcdef",
            "0123456789a.secret",
            "0123456789xy.secret",
        ] {
            let hash: [u8; 32] = Sha256::digest(token).into();
            assert_eq!(TokenHash::of(token).as_bytes(), hash, "{token}");
        }
    }
}
