//! permessage-deflate (RFC 7692) without context takeover: every message is compressed alone.
//!
//! So a connection keeps neither a window nor a dictionary between messages. One deflater and one
//! inflater a thread serve all its connections, and a compressed message is the same for
//! everyone who agreed on the extension.

use std::cell::RefCell;
use std::num::NonZeroU8;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::{Opcode, ProtocolError, frame, header};

/// What every message ends with when it is compressed, and what is not sent (§7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// An empty last block: what it ends has been whole.
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xFF, 0xFF];
/// zlib's fastest level that looks for the longest match in more than one place: levels above cost
/// twice the time for some per cent.
const LEVEL: u32 = 3;
/// Bytes inflated at a time.
const CHUNK: usize = 16 * 1024;
/// The largest window (§7.1.2): 32 KiB.
const MAX_WINDOW_BITS: u8 = 15;

thread_local! {
    /// By the bits of the window: those from 9 on can be, nearly all are 15.
    static DEFLATERS: RefCell<[Option<Compress>; MAX_WINDOW_BITS as usize + 1]> = const {
        RefCell::new([const { None }; MAX_WINDOW_BITS as usize + 1])
    };
    static INFLATER: RefCell<Option<(Decompress, Box<[u8; CHUNK]>)>> = const { RefCell::new(None) };
    /// Where a message is compressed to, until its length is known.
    static COMPRESSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// permessage-deflate as it was agreed on for one connection, and what we make of it.
///
/// The handshakes give it: [`Upgrade::deflate`](crate::handshake::server::Upgrade::deflate) and
/// [`Agreed::deflate`](crate::handshake::client::Agreed::deflate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// 9 to 15; that it is never 0 makes an `Option` of this no larger.
    window_bits: NonZeroU8,
    /// Bytes from which on a message is compressed; `u32::MAX` is never.
    threshold: u32,
}

impl Deflate {
    /// What we send is compressed with a window of 2^`window_bits` bytes: 9 to 15, since zlib has
    /// none of 8 bits.
    pub(crate) fn new(window_bits: u8) -> Option<Self> {
        let window_bits = NonZeroU8::new(window_bits)?;
        (9..=MAX_WINDOW_BITS)
            .contains(&window_bits.get())
            .then_some(Self {
                window_bits,
                threshold: 0,
            })
    }

    /// Leaves messages of fewer bytes as they are: compressing them gains little. It only ever takes
    /// the threshold up; [`usize::MAX`] leaves every message.
    #[must_use]
    pub fn from_bytes_on(self, threshold: usize) -> Self {
        let threshold = u32::try_from(threshold).unwrap_or(u32::MAX);
        Self {
            threshold: threshold.max(self.threshold),
            ..self
        }
    }

    /// Bits of the window that our messages are compressed with.
    pub fn window_bits(&self) -> u8 {
        self.window_bits.get()
    }

    /// Whether a message of so many bytes is to be compressed.
    pub(crate) fn takes(&self, length: usize) -> bool {
        length > 1 && self.threshold < u32::MAX && length >= self.threshold as usize
    }

    /// Whether a message of so many bytes is compressed the same with the largest window: it
    /// cannot refer further back than it is long.
    pub(crate) fn is_shared_at(&self, length: usize) -> bool {
        self.window_bits() == MAX_WINDOW_BITS || length <= 1 << self.window_bits()
    }

    /// Appends one message from client to server to `out`, compressed where that makes it
    /// shorter: otherwise as [`encode_masked`](crate::encode_masked), whose rules for the mask apply.
    pub fn encode_masked(&self, opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
        let compressible = !opcode.is_control() && self.takes(payload.len());
        let compressed = compressible.then(|| compress(payload, self.window_bits()));
        match compressed.flatten() {
            Some(bytes) => frame::append_masked(header::RSV1, opcode, &bytes, mask, out),
            None => frame::encode_masked(opcode, payload, mask, out),
        }
    }
}

/// Compresses with the largest window.
pub(crate) fn compress_shared(payload: &[u8]) -> Option<Vec<u8>> {
    compress(payload, MAX_WINDOW_BITS)
}

/// The payload of the compressed message (§7.2.1); `None` where it would not be shorter.
pub(crate) fn compress(payload: &[u8], window_bits: u8) -> Option<Vec<u8>> {
    DEFLATERS.with_borrow_mut(|deflaters| {
        let slot = deflaters.get_mut(usize::from(window_bits))?;
        let deflater = slot.get_or_insert_with(|| {
            Compress::new_with_window_bits(Compression::new(LEVEL), false, window_bits)
        });
        COMPRESSED.with_borrow_mut(|out| {
            out.clear();
            // With the tail it may be as long as the payload and three bytes to be shorter without.
            out.reserve(payload.len() + TAIL.len());
            deflater.reset();
            let status = deflater.compress_vec(payload, out, FlushCompress::Sync);
            // All was taken, and room was left: nothing waits inside.
            let whole = matches!(status, Ok(Status::Ok))
                && deflater.total_in() == payload.len() as u64
                && out.len() < out.capacity();
            let shrunk = out
                .strip_suffix(&TAIL)
                .filter(|bytes| whole && bytes.len() < payload.len());
            let shrunk = shrunk.map(<[u8]>::to_vec);
            if out.capacity() > 1 << 20 {
                // One great message is no reason to keep its memory.
                *out = Vec::new();
            }
            shrunk
        })
    })
}

/// The message of a compressed payload (§7.2.2), of at most `limit` bytes.
///
/// It stops at the limit: a payload that would become a thousand times as long costs no more.
pub(crate) fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
    if payload.is_empty() {
        // An empty message should be one byte (§7.2.3.6); there is only one thing that this can mean.
        return Ok(Vec::new());
    }
    INFLATER.with_borrow_mut(|inflater| {
        let (inflater, chunk) =
            inflater.get_or_insert_with(|| (Decompress::new(false), Box::new([0; CHUNK])));
        inflater.reset(false);
        let mut message = Vec::new();
        let mut ended = false;
        for mut input in [payload, &TAIL, &LAST_BLOCK] {
            while !input.is_empty() {
                let (read, written) = (inflater.total_in(), inflater.total_out());
                let status = inflater
                    .decompress(input, &mut chunk[..], FlushDecompress::None)
                    .map_err(|_| ProtocolError::BadDeflate)?;
                // At most the length of a slice that lies in memory.
                let read = (inflater.total_in() - read) as usize;
                let written = (inflater.total_out() - written) as usize;
                if written > limit - message.len() {
                    return Err(ProtocolError::TooBig { limit });
                }
                message.extend_from_slice(&chunk[..written]);
                input = &input[read..];
                ended = status == Status::StreamEnd;
                if ended {
                    // A block may say that it is the last (§7.2.3.4); what follows begins anew.
                    inflater.reset(false);
                } else if read == 0 && written == 0 {
                    return Err(ProtocolError::BadDeflate);
                }
            }
        }
        // The last block ended the stream exactly: no block before it was cut off.
        if ended {
            Ok(message)
        } else {
            Err(ProtocolError::BadDeflate)
        }
    })
}

/// Most bytes that a message of at most `limit` bytes needs when it is compressed: what cannot
/// be compressed grows by a few bytes a block (RFC 1951 §3.2.4).
pub(crate) fn compressed_limit(limit: usize) -> usize {
    limit.saturating_add(limit / 16).saturating_add(64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rfcs_examples() {
        // §7.2.3.1: one block; §7.2.3.2 puts it in two frames; §7.2.3.3: not compressed; §7.2.3.4:
        // a block that says it is the last; §7.2.3.5: two blocks.
        for payload in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            assert_eq!(
                inflate(payload, 5).as_deref(),
                Ok(&b"Hello"[..]),
                "{payload:x?}"
            );
        }
        // §7.2.3.6: an empty message; and one that forgot its byte.
        assert_eq!(inflate(&[0], 0), Ok(Vec::new()));
        assert_eq!(inflate(&[], 0), Ok(Vec::new()));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        // 100 MiB: blocks of 1 MiB, one behind the other, as a sync flush separates them.
        let block = [compress_shared(&vec![0; 1 << 20]).unwrap(), TAIL.to_vec()].concat();
        let bomb = block.repeat(100);
        let bomb = bomb.strip_suffix(&TAIL).unwrap();
        assert!(bomb.len() < 512 * 1024, "{}", bomb.len());
        let limit = 64 * 1024;
        assert_eq!(inflate(bomb, limit), Err(ProtocolError::TooBig { limit }));
        let read = INFLATER.with_borrow(|inflater| inflater.as_ref().unwrap().0.total_out());
        assert!(read <= (limit + CHUNK) as u64, "{read}");
    }

    #[test]
    fn the_limit_is_exact() {
        let message = vec![b'x'; 1000];
        let payload = compress_shared(&message).unwrap();
        assert_eq!(inflate(&payload, 1000), Ok(message));
        let limit = 999;
        assert_eq!(
            inflate(&payload, limit),
            Err(ProtocolError::TooBig { limit })
        );
    }

    #[test]
    fn what_is_cut_off_is_not_a_message() {
        let text = "가나다라마바사 아자차카타파하 ".repeat(20);
        let payload = compress_shared(text.as_bytes()).unwrap();
        for end in 1..payload.len() {
            assert_eq!(
                inflate(&payload[..end], 10_000),
                Err(ProtocolError::BadDeflate),
                "{end}"
            );
        }
    }

    #[test]
    fn what_cannot_shrink_is_left() {
        assert_eq!(compress_shared(b"x"), None);
        assert_eq!(compress_shared(b"abcdefgh"), None);
    }

    #[test]
    fn a_small_window_is_kept_to() {
        // The only match is 2,000 bytes back.
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..2000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state as u8
            })
            .collect();
        let message = [&noise[..], &noise[..]].concat();
        assert!(compress(&message, 15).unwrap().len() < 2_200);
        assert!(compress(&message, 9).is_none_or(|bytes| bytes.len() > 3_500));
    }

    proptest! {
        #[test]
        fn what_is_compressed_is_inflated(
            seed in prop::collection::vec(any::<u8>(), 1..300),
            times in 1..50_usize,
            window_bits in 9..=15_u8,
        ) {
            let message = seed.repeat(times);
            if let Some(payload) = compress(&message, window_bits) {
                prop_assert!(payload.len() < message.len());
                prop_assert_eq!(inflate(&payload, message.len()), Ok(message));
            }
        }

        #[test]
        fn garbage_is_refused_or_within_the_limit(payload: Vec<u8>, limit in 0..100_usize) {
            if let Ok(message) = inflate(&payload, limit) {
                prop_assert!(message.len() <= limit);
            }
        }
    }
}
