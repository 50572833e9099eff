use crate::decoder::Rules;
use crate::{Opcode, ProtocolError, Role};

/// The longest header without a mask: two bytes and a length of eight.
pub(crate) const LONGEST_UNMASKED: usize = 10;
/// The longest header: the same and a mask of four.
const LONGEST: usize = LONGEST_UNMASKED + 4;

/// The bit that marks a compressed message, on its first frame (RFC 7692 §6).
pub(crate) const RSV1: u8 = 0x40;

/// RFC 6455 §5.5: the payload of a control frame has at most 125 bytes.
pub(crate) const MAX_CONTROL: usize = 125;

/// Everything of a frame but its payload (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    /// The first frame of a compressed message.
    pub(crate) compressed: bool,
    pub(crate) length: u64,
    /// The key, which is zero where the peer does not mask: that leaves the payload as it is.
    pub(crate) mask: [u8; 4],
}

impl Header {
    /// Reads a header at the front of `bytes` and tells how many bytes it has; `None` when it is
    /// not all there. Each field is judged as soon as it has come.
    #[inline]
    fn parse(bytes: &[u8], rules: &Rules) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        // §5.2: RSV1 to RSV3 are 0 unless an extension that defines them was negotiated. RFC 7692
        // §6 gives RSV1 to the first frame of a data message, and to no other.
        let reserved = first & 0x70;
        if reserved != 0 && !(reserved == RSV1 && rules.inflating) {
            return Err(ProtocolError::ReservedBits);
        }
        let compressed = reserved == RSV1;
        let fin = first & 0x80 != 0;
        let opcode = Opcode::parse(first & 0x0F)?;
        if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(ProtocolError::ReservedBits);
        }
        // §5.5: control frames must not be fragmented.
        if opcode.is_control() && !fin {
            return Err(ProtocolError::FragmentedControl);
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        // §5.1: a server closes on a frame that is not masked, a client on one that is.
        let masked = second & 0x80 != 0;
        match rules.role {
            Role::Server if !masked => return Err(ProtocolError::Unmasked),
            Role::Client if masked => return Err(ProtocolError::Masked),
            Role::Server | Role::Client => {}
        }
        let short_length = second & 0x7F;
        if opcode.is_control() && usize::from(short_length) > MAX_CONTROL {
            return Err(ProtocolError::ControlTooLong);
        }

        let Some((length, rest)) = parse_length(short_length, rest)? else {
            return Ok(None);
        };
        let (mask, rest) = if masked {
            let Some((mask, rest)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            (*mask, rest)
        } else {
            ([0; 4], rest)
        };
        let header = Self {
            fin,
            opcode,
            compressed,
            length,
            mask,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// §5.2: 0 to 125 is the length itself; 126 and 127 say that it follows in 16 or 64 bits, most
/// significant byte first, the top bit of the 64 being 0.
///
/// §5.2 also asks senders for the shortest form. Many receivers let a longer one pass; we refuse
/// it, as a frame then has one header only.
#[inline]
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (length, shortest, rest) = match short {
        126 => match bytes.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), 126, rest),
            None => return Ok(None),
        },
        127 => match bytes.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), 0x1_0000, rest),
            None => return Ok(None),
        },
        length => (u64::from(length), 0, bytes),
    };
    if length >> 63 != 0 {
        return Err(ProtocolError::LengthTopBit);
    }
    if length < shortest {
        return Err(ProtocolError::LengthNotMinimal);
    }
    Ok(Some((length, rest)))
}

/// The header of one unfragmented frame without a mask, and how many bytes of it are used.
/// `reserved` is 0 or [`RSV1`].
#[inline]
pub(crate) fn unmasked(
    reserved: u8,
    opcode: Opcode,
    length: usize,
) -> ([u8; LONGEST_UNMASKED], u8) {
    let mut header = [0; LONGEST_UNMASKED];
    header[0] = 0x80 | reserved | opcode as u8;
    let used = match length {
        0..=125 => {
            header[1] = length as u8;
            2
        }
        126..=0xFFFF => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (header, used)
}

/// The same with a mask, appended to `out`.
pub(crate) fn append_masked(
    reserved: u8,
    opcode: Opcode,
    length: usize,
    mask: [u8; 4],
    out: &mut Vec<u8>,
) {
    let (mut header, used) = unmasked(reserved, opcode, length);
    header[1] |= 0x80;
    out.extend_from_slice(&header[..usize::from(used)]);
    out.extend_from_slice(&mask);
}

/// How many bytes [`unmasked`] uses.
pub(crate) fn unmasked_len(length: usize) -> usize {
    match length {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => LONGEST_UNMASKED,
    }
}

/// A header of which the first bytes have come.
#[derive(Debug, Default)]
pub(crate) struct HeaderSoFar {
    bytes: [u8; LONGEST],
    len: usize,
}

impl HeaderSoFar {
    /// Takes from `input` what belongs to the header; `Some` when it is whole.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        input: &mut &mut [u8],
        rules: &Rules,
    ) -> Result<Option<Header>, ProtocolError> {
        if self.is_empty()
            && let Some((header, size)) = Header::parse(input, rules)?
        {
            // As nearly all headers, it lies there whole.
            *input = &mut std::mem::take(input)[size..];
            return Ok(Some(header));
        }
        let had = self.len;
        let copied = input.len().min(LONGEST - had);
        self.bytes[had..had + copied].copy_from_slice(&input[..copied]);
        let parsed = Header::parse(&self.bytes[..had + copied], rules)?;
        let taken = match parsed {
            Some((_, size)) => size - had,
            None => copied,
        };
        self.len += taken;
        *input = &mut std::mem::take(input)[taken..];
        Ok(parsed.map(|(header, _)| header))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}
