//! What shows a backend that a request is Madang's: an HMAC (RFC 2104) of time and body.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;

/// Signs with one secret.
pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    /// `None` where there is no secret.
    pub(super) fn new(secret: &Secret) -> anyhow::Result<Option<Self>> {
        let secret = secret.expose();
        if secret.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self(Hmac::new_from_slice(secret.as_bytes())?)))
    }

    /// `t=UNIX_SECONDS,v1=HEX`, where HEX is of `UNIX_SECONDS.BODY`.
    pub(super) fn sign(&self, now: SystemTime, body: &str) -> String {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut hmac = self.0.clone();
        hmac.update(format!("{seconds}.{body}").as_bytes());
        let mut signature = format!("t={seconds},v1=");
        for byte in hmac.finalize().into_bytes() {
            // Writing to a string does not fail.
            let _ = write!(signature, "{byte:02x}");
        }
        signature
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_signature_is_what_openssl_makes_of_time_and_body() {
        let secret = Secret::from("커피 한 잔".to_owned());
        let signer = Signer::new(&secret).unwrap().unwrap();
        let now = UNIX_EPOCH + Duration::from_millis(1_795_339_800_999);
        // printf '1795339800.{"a":1}' | openssl dgst -sha256 -hmac '커피 한 잔'
        let expected =
            "t=1795339800,v1=38714e13809cba28190e30153bd6f4a5110963b555fddf2935b751fa24c6e752";
        assert_eq!(signer.sign(now, r#"{"a":1}"#), expected);
        assert!(Signer::new(&Secret::default()).unwrap().is_none());
    }
}
