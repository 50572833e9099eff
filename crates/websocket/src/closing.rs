use crate::{Close, CloseCode};

/// Where a connection is in the closing handshake (RFC 6455 §7.1).
///
/// | state | we want to close: `send` | their close frame: `receive` | the socket ends: `lost` |
/// |---|---|---|---|
/// | `Open` | `Sent`, write it | `Received` | `Closed` (1006) |
/// | `Sent` | | `Closed` (theirs) | `Closed` (1006) |
/// | `Received` | `Closed` (theirs), write it | | `Closed` (theirs) |
/// | `Closed` | | | |
///
/// An empty field changes nothing. Once it is `Closed`, the server closes the socket and the
/// client waits a moment for that (§7.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Closing {
    /// Neither end has closed.
    #[default]
    Open,
    /// Our close frame is out, theirs has not come. We send no more (§5.5.1); they still may.
    Sent,
    /// Their close frame has come: ours has to go out next, with [`Closing::answer`].
    Received(Close),
    /// It is over, for this reason: theirs, or 1006 when they gave none before the socket ended.
    Closed(Close),
}

impl Closing {
    /// Whether messages may still be written. §5.5.1: nothing is sent after a close frame; once
    /// theirs has come, nobody listens.
    pub fn may_send(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Notes that we close. Tells whether a close frame has to be written for it: there is never
    /// more than one.
    #[must_use = "true means that a close frame has to be written"]
    pub fn send(&mut self) -> bool {
        *self = match std::mem::take(self) {
            Self::Open => Self::Sent,
            Self::Received(theirs) => Self::Closed(theirs),
            done @ (Self::Sent | Self::Closed(_)) => {
                *self = done;
                return false;
            }
        };
        true
    }

    /// Notes their close frame. One without a code counts as 1005.
    pub fn receive(&mut self, theirs: Option<Close>) {
        let theirs = theirs.unwrap_or_else(|| Close::new(CloseCode::NO_STATUS, ""));
        *self = match std::mem::take(self) {
            Self::Open => Self::Received(theirs),
            Self::Sent => Self::Closed(theirs),
            done @ (Self::Received(_) | Self::Closed(_)) => done,
        };
    }

    /// Notes that the socket has ended or failed.
    pub fn lost(&mut self) {
        *self = match std::mem::take(self) {
            Self::Open | Self::Sent => Self::Closed(Close::new(CloseCode::ABNORMAL, "")),
            Self::Received(theirs) | Self::Closed(theirs) => Self::Closed(theirs),
        };
    }

    /// The close frame that answers theirs. §5.5.1: one that has not sent a close frame sends
    /// one, echoing the code; an empty one is answered by an empty one.
    pub fn answer(&self) -> Option<Close> {
        match self {
            Self::Received(theirs) if theirs.code.is_sendable() => {
                Some(Close::new(theirs.code, ""))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: u16) -> Close {
        Close::new(CloseCode::new(code), "bye")
    }

    #[test]
    fn who_closes_first_is_done_when_the_other_answers() {
        let mut closing = Closing::default();
        assert!(closing.may_send());
        assert!(closing.send());
        assert_eq!(closing, Closing::Sent);
        assert!(!closing.may_send());
        closing.receive(Some(close(1000)));
        assert_eq!(closing, Closing::Closed(close(1000)));
    }

    #[test]
    fn who_closes_second_answers_with_the_same_code() {
        let mut closing = Closing::default();
        closing.receive(Some(close(4001)));
        assert!(!closing.may_send());
        assert_eq!(closing.answer(), Some(Close::new(CloseCode::new(4001), "")));
        assert!(closing.send());
        assert_eq!(closing, Closing::Closed(close(4001)));
    }

    #[test]
    fn a_close_without_a_code_is_answered_without_a_code() {
        let mut closing = Closing::default();
        closing.receive(None);
        assert_eq!(closing.answer(), None);
        assert!(closing.send());
        assert_eq!(
            closing,
            Closing::Closed(Close::new(CloseCode::NO_STATUS, ""))
        );
    }

    #[test]
    fn only_one_close_frame_is_ever_sent() {
        let mut closing = Closing::default();
        assert!(closing.send());
        assert!(!closing.send());
        closing.receive(Some(close(1000)));
        assert!(!closing.send());
    }

    #[test]
    fn a_socket_that_ends_before_their_close_frame_ended_abnormally() {
        for sent in [false, true] {
            let mut closing = Closing::default();
            assert!(!sent || closing.send());
            closing.lost();
            assert_eq!(
                closing,
                Closing::Closed(Close::new(CloseCode::ABNORMAL, ""))
            );
        }
    }

    #[test]
    fn a_socket_that_ends_after_their_close_frame_ended_as_they_said() {
        let mut closing = Closing::default();
        closing.receive(Some(close(1001)));
        closing.lost();
        closing.receive(Some(close(1000)));
        closing.lost();
        assert_eq!(closing, Closing::Closed(close(1001)));
    }
}
