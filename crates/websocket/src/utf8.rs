use crate::ProtocolError;

/// Text that comes in pieces, checked as it comes.
///
/// RFC 6455 §8.1: text that is not UTF-8 fails the connection. We do not wait for the end of the
/// message or of the frame: [`push`](Self::push) fails at the piece with the first byte that no
/// later byte can make right. Every byte is checked once.
#[derive(Debug, Default)]
pub(crate) struct TextSoFar {
    text: String,
    /// The first `cut_len` bytes are a code point of which the rest has not come.
    cut: [u8; 4],
    cut_len: u8,
}

impl TextSoFar {
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), ProtocolError> {
        while self.cut_len > 0
            && let Some((&first, rest)) = bytes.split_first()
        {
            bytes = rest;
            self.complete_cut(first)?;
        }
        let (whole, cut) = bytes.split_at(bytes.len() - cut_at_end(bytes));
        self.text.push_str(check(whole)?);
        for &byte in cut {
            self.complete_cut(byte)?;
        }
        Ok(())
    }

    pub(crate) fn reserve_exact(&mut self, bytes: usize) {
        self.text.reserve_exact(bytes);
    }

    /// Bytes taken so far, those of a cut code point included.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.cut_len)
    }

    /// What is whole of it so far; a cut code point stays.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// The text; fails when it ends within a code point.
    pub(crate) fn finish(self) -> Result<String, ProtocolError> {
        if self.cut_len > 0 {
            return Err(ProtocolError::NotUtf8);
        }
        Ok(self.text)
    }

    /// Adds one byte to the cut code point, and the code point to the text once it is whole.
    fn complete_cut(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let end = usize::from(self.cut_len);
        self.cut[end] = byte;
        match std::str::from_utf8(&self.cut[..=end]) {
            Ok(code_point) => {
                self.text.push_str(code_point);
                self.cut_len = 0;
            }
            // No error length means: a good beginning. It has at most three bytes.
            Err(error) if error.error_len().is_none() => self.cut_len += 1,
            Err(_) => return Err(ProtocolError::NotUtf8),
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }
}

/// Checks a text that lies before us whole.
pub(crate) fn check(bytes: &[u8]) -> Result<&str, ProtocolError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::NotUtf8)
}

/// Makes a text of the bytes that are one.
pub(crate) fn check_owned(bytes: Vec<u8>) -> Result<String, ProtocolError> {
    String::from_utf8(bytes).map_err(|_| ProtocolError::NotUtf8)
}

/// How many bytes at the end begin a code point that does not end there.
fn cut_at_end(bytes: &[u8]) -> usize {
    for (distance, &byte) in (1..=3).zip(bytes.iter().rev()) {
        let length = match byte {
            0x00..=0x7F => return 0,
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        return if length > distance { distance } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TextSoFar;

    proptest! {
        #[test]
        fn text_in_pieces_is_the_text(text: String, cuts in prop::collection::vec(1..9_usize, 1..40)) {
            let mut so_far = TextSoFar::default();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                so_far.push(piece).unwrap();
                rest = after;
            }
            prop_assert_eq!(so_far.len(), text.len());
            prop_assert_eq!(so_far.finish().unwrap(), text);
        }

        #[test]
        fn a_wrong_byte_is_found_in_the_piece_that_brings_it(bytes: Vec<u8>) {
            let good = match std::str::from_utf8(&bytes) {
                Ok(_) => bytes.len(),
                Err(error) => match error.error_len() {
                    None => bytes.len(),
                    // The byte that no other byte can make right: the first one of a bad
                    // sequence, or the one that follows a good beginning.
                    Some(_) => (error.valid_up_to()..)
                        .find(|&end| {
                            std::str::from_utf8(&bytes[..=end])
                                .is_err_and(|error| error.error_len().is_some())
                        })
                        .unwrap(),
                },
            };
            let mut so_far = TextSoFar::default();
            for (index, byte) in bytes.iter().enumerate() {
                let fed = so_far.push(&[*byte]);
                prop_assert_eq!(fed.is_ok(), index < good);
                if fed.is_err() {
                    break;
                }
            }
        }
    }
}
