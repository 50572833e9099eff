//! What one writes the other hears.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::peers::*;

pub(crate) fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => "\\PC{0,60}".prop_map(Said::Text),
        1 => "[가-힣🎉]{40,90}".prop_map(Said::Text),
        3 => vec(any::<u8>(), 0..300).prop_map(Said::Binary),
        1 => vec(any::<u8>(), 0..126).prop_map(Said::Ping),
        1 => vec(any::<u8>(), 0..126).prop_map(Said::Pong),
    ]
}

/// Some messages, and perhaps a close.
pub(crate) fn conversation() -> impl Strategy<Value = Vec<Said>> {
    // 1014 is left out: see `verdicts`.
    let code = prop_oneof![1000..=1003_u16, 1007..=1013_u16, 3000..=4999_u16];
    let close = prop::option::of((code, "\\PC{0,30}"));
    (vec(said(), 0..8), prop::option::of(close)).prop_map(|(mut said, close)| {
        said.extend(close.map(Said::Close));
        said
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_others_write_we_hear(said in conversation(), fragment in 1..100_usize) {
        for peer in &OTHERS {
            for role in ROLES {
                let (bytes, heard) = (peer.write)(other(role), &said, fragment);
                prop_assert_eq!(we_hear(role, &bytes), Heard::fine(&heard), "{}", peer.name);
            }
        }
    }

    #[test]
    fn what_we_write_others_hear(said in conversation()) {
        for role in ROLES {
            let bytes = we_write(other(role), &said);
            for peer in &OTHERS {
                prop_assert_eq!((peer.hear)(role, &bytes), Heard::fine(&said), "{}", peer.name);
            }
        }
    }
}

#[test]
fn every_form_of_length_is_heard_both_ways() {
    for length in [0, 1, 125, 126, 127, 999, 1000] {
        let said = [Said::Binary(vec![0x5A; length])];
        for role in ROLES {
            let ours = we_write(other(role), &said);
            for peer in &OTHERS {
                let (theirs, _) = (peer.write)(other(role), &said, LIMIT);
                assert_eq!(we_hear(role, &theirs), Heard::fine(&said), "{}", peer.name);
                assert_eq!(
                    (peer.hear)(role, &ours),
                    Heard::fine(&said),
                    "{}",
                    peer.name
                );
            }
        }
    }
}
